"""What operators look at: metrics, doctor, backup."""

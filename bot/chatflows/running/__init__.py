"""Look at what runs, and stop, start, restart or remove it."""

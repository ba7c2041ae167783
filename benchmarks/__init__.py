"""Measurements. `make bench` runs all; every claim in docs/benchmarks.md names the one it comes from."""

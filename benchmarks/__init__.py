"""What the README promises about speed and memory, measured: `python -m benchmarks`."""

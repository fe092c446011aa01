"""How cost grows with its cause: `python -m benchmarks.growth`."""

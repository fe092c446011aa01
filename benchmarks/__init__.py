"""What is measured, each with one command: python -m benchmarks.NAME."""

"""Tests of what the benchmarks decide."""

"""Tests of what benchmarks decide."""

"""Shared parts of tests, campaigns and benchmarks: brokers, the daemon, samples, waiting."""

"""What tests, campaigns and benchmarks share: brokers, the daemon, samples, waiting."""

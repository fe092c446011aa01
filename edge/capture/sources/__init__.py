"""Sources without a driver: a folder, a replay, the test pattern."""

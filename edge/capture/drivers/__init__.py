"""Camera drivers, one module for each kind. They run in the process of their camera."""

"""Camera drivers, one a kind. They run in the camera's own process."""

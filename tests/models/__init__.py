"""Small real models for the tests, and the script that made them."""

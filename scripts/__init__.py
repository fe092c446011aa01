"""What `make` runs: the demo and the checks of a fresh machine. Not part of the product."""

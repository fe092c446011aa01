"""Programs for `make`: the demo, mutation tests and packaging. Not part of the product."""

"""Where the two small models of the tests are; tests/models/make.py makes them."""

from pathlib import Path

MODELS = Path(__file__).parents[1] / "models"

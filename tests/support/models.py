"""The folder of the small test models, which tests/models/make.py writes."""

from pathlib import Path

MODELS = Path(__file__).parents[1] / "models"

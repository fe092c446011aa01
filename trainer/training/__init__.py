"""Trains one or several networks, from a data set to the folder of a run."""

from trainer.training.settings import TrainingRequest, TrainingSettings, default_settings

__all__ = [
    "TrainingRequest",
    "TrainingSettings",
    "default_settings",
]

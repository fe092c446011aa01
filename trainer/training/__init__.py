"""Training of one or several networks, from a data set to a run's folder."""

from trainer.training.settings import TrainingRequest, TrainingSettings, default_settings

__all__ = [
    "TrainingRequest",
    "TrainingSettings",
    "default_settings",
]

"""Basics of the trainer: optional libraries, atomic writes, progress."""

from trainer.core.atomic_write import check_free, write_folder, write_json
from trainer.core.optional_imports import keras, optional_import, silence_stderr, tensorflow
from trainer.core.progress import Display, Epoch, TrainingObserver

__all__ = [
    "Display",
    "Epoch",
    "TrainingObserver",
    "check_free",
    "keras",
    "optional_import",
    "silence_stderr",
    "tensorflow",
    "write_folder",
    "write_json",
]

"""Basics of the trainer: optional libraries, atomic writes, progress."""

from edge.core.drawn_text import Colour, draw_text, text_width
from trainer.core.atomic_write import check_free, write_folder, write_json
from trainer.core.optional_imports import keras, optional_import, silence_stderr, tensorflow
from trainer.core.progress import Display, Epoch, TrainingObserver

__all__ = [
    "Colour",
    "Display",
    "Epoch",
    "TrainingObserver",
    "check_free",
    "draw_text",
    "keras",
    "optional_import",
    "silence_stderr",
    "tensorflow",
    "text_width",
    "write_folder",
    "write_json",
]

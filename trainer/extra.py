"""The libraries of the extra `train`, imported when first used: each is slow or may be missing."""

import importlib
import os
from typing import Any

from edge.errors import MissingPartError


def extra(module: str) -> Any:
    """The module of that name. Raises MissingPartError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPartError(
            f"{package} is not installed ({error}); run: pip install 'edge-inspect[train]'"
        ) from error


def tensorflow() -> Any:
    """TensorFlow, without its start-up notices. Raises MissingPartError."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    return extra("tensorflow")


def keras() -> Any:
    """Keras on TensorFlow. Raises MissingPartError."""
    tensorflow()
    return extra("keras")

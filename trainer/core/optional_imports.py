"""Imports the libraries of the extra `train` on first use: each is slow or may be missing."""

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from edge.core.errors import MissingPartError


def optional_import(module: str) -> Any:
    """Imports `module`. Raises MissingPartError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPartError(
            f"{package} is not installed ({error}); run: pip install '.[train]'"
        ) from error


def tensorflow() -> Any:
    """TensorFlow, without its start-up notices. Raises MissingPartError."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if sys.modules.get("tensorflow") is not None:
        return optional_import("tensorflow")
    with silence_stderr():
        return optional_import("tensorflow")


def keras() -> Any:
    """Keras on TensorFlow. Raises MissingPartError."""
    tensorflow()
    return optional_import("keras")


@contextlib.contextmanager
def silence_stderr() -> Iterator[None]:
    """Discards file descriptor 2: TensorFlow's C++ writes there before it reads its log level."""
    try:
        kept = os.dup(2)
    except OSError:  # a service without standard error
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)

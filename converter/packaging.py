"""Output files: checks that a file can be written, writes it atomically, records versions."""

import contextlib
import hashlib
import importlib.metadata
import os
from pathlib import Path

import cv2
import numpy as np

import edge
from edge.core.errors import EdgeInspectError, ModelError
from trainer.core import keras, tensorflow


def check_output(path: Path) -> None:
    """Raises ModelError when `path` cannot take a model file. Called before the long work."""
    if path.suffix != ".tflite":
        raise ModelError(f"{path}: a model file ends in .tflite; give -o NAME.tflite")
    check_writable(path, "-o")


def check_writable(path: Path, option: str) -> None:
    """Raises ModelError when no file can be written at `path`, which `option` named."""
    if not path.parent.is_dir():
        raise ModelError(f"{path.parent}: no such folder; make it, or give another {option}")
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; give {option} the name of a file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ModelError(
            f"{path.parent}: cannot be written to; change its permissions, or give another {option}"
        )


def content_version(tflite: bytes) -> str:
    """A version that changes with the network: 12 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(tflite).hexdigest()[:12]


def tool_versions() -> dict[str, str]:
    """The versions of the packages that the figures depend on."""
    found = {
        "tensorflow": str(tensorflow().__version__),
        "keras": str(keras().__version__),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "edge-inspect": edge.__version__,
    }
    for package in ("ai-edge-litert", "tflite-runtime"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def write_atomically(path: Path, content: bytes) -> None:
    """Writes the file atomically: after a power cut, the old or the new content is there.

    Where the file system allows it, the bytes are written to an unnamed file first, so a killed
    process leaves no partial file. Raises EdgeInspectError when the disk is full or the folder is
    not writable.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.part")
    try:
        try:
            _write_nameless(partial, content)
        except _NoTmpfileError:
            _write_named(partial, content)
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise EdgeInspectError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or check the "
            "folder's permissions"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


class _NoTmpfileError(Exception):
    """This file system does not support O_TMPFILE."""


def _write_nameless(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY)
    except (OSError, AttributeError) as error:
        raise _NoTmpfileError from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, 0o644)  # the daemon's user must be able to read it
        os.fsync(descriptor)
        path.unlink(missing_ok=True)
        try:
            os.link(f"/proc/self/fd/{descriptor}", path, follow_symlinks=True)
        except OSError as error:
            raise _NoTmpfileError from error


def _write_named(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o644)

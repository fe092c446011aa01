"""Folders and JSON files that appear whole or not at all: an interrupted write leaves neither."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from edge.core.errors import DatasetError, EdgeInspectError

Result = TypeVar("Result")


def check_free(target: Path, why: str) -> None:
    """Raises DatasetError unless `target` is free: not there, or an empty folder.

    `why` ends the sentence "TARGET: is there already", with what to do about it. Also raised when
    the disk does not even say.
    """
    try:
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise _refused(target, error) from error
    if taken:
        raise DatasetError(f"{target}: is there already{why}")


def write_folder(target: Path, fill: Callable[[Path], Result]) -> Result:
    """Lets `fill` write into a hidden folder beside `target`, which then takes its name.

    `target` must be free (`check_free`). Returns what `fill` returned. Raises DatasetError when
    the disk refuses; that, and whatever else `fill` raises, leaves nothing behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            result = fill(half)
            half.chmod(0o755)
            half.replace(target)  # an empty folder in its place is taken over
        finally:
            shutil.rmtree(half, ignore_errors=True)
    except OSError as error:
        raise _refused(target, error) from error
    return result


def _refused(target: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"{error.filename or target}: {error.strerror or error}; check the disk and the "
        "permissions, then run it again"
    )


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, whole or not at all. Raises EdgeInspectError."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with half.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        raise EdgeInspectError(
            f"{path}: cannot be written ({error.strerror}); check the disk and the folder's "
            "permissions"
        ) from error
    finally:
        half.unlink(missing_ok=True)

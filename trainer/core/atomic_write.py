"""Writes folders and JSON files atomically: an interrupted write leaves nothing behind."""

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
    """Raises DatasetError unless `target` is absent or an empty folder.

    `why` ends the sentence "TARGET: is there already" and names the fix. A disk error also raises
    DatasetError.
    """
    try:
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise _refused(target, error) from error
    if taken:
        raise DatasetError(f"{target}: is there already{why}")


def write_folder(target: Path, fill: Callable[[Path], Result]) -> Result:
    """Lets `fill` write into a hidden folder beside `target`, then renames it to `target`.

    `target` must be free (`check_free`). Returns the result of `fill`. Raises DatasetError when
    the disk refuses. After any error nothing is left behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            result = fill(half)
            half.chmod(0o755)
            half.replace(target)  # replaces an empty folder
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
    """Writes JSON atomically. Raises EdgeInspectError when the disk refuses."""
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

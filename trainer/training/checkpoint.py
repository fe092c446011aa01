"""The checkpoint from which a stopped training resumes without any difference."""

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError


@dataclass(frozen=True, slots=True)
class TrainingState:
    """A training after an epoch. `metadata` is JSON: epochs, state of the rng, best epoch."""

    metadata: dict[str, Any]
    state: list[NDArray[Any]]
    best: list[NDArray[Any]]


class Checkpoint:
    """A file with the last state of the training that `key` identifies.

    A file with another key belongs to other settings or pictures and is ignored.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key

    def save(self, snapshot: TrainingState) -> None:
        """Replaces the file atomically. Raises EdgeInspectError when it cannot be written."""
        half = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        arrays: dict[str, Any] = {f"state{at:05}": a for at, a in enumerate(snapshot.state)}
        arrays |= {f"best{at:05}": a for at, a in enumerate(snapshot.best)}
        metadata = json.dumps({"key": self._key, **snapshot.metadata}).encode()
        try:
            with half.open("wb") as file:
                np.savez(file, facts=np.frombuffer(metadata, np.uint8), **arrays)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self._path)
        except OSError as error:
            raise EdgeInspectError(
                f"{self._path}: cannot be written ({error.strerror}); check the disk and the "
                "folder's permissions, then run the same command again: it resumes here"
            ) from error
        finally:
            half.unlink(missing_ok=True)

    def load(self) -> TrainingState | None:
        """The last state of this training, or None."""
        try:
            with np.load(self._path, allow_pickle=False) as file:
                metadata = json.loads(bytes(file["facts"]))
                if metadata.pop("key", None) != self._key:
                    return None
                names = sorted(file.files)
                state = [file[name] for name in names if name.startswith("state")]
                best = [file[name] for name in names if name.startswith("best")]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # absent or damaged: start again
        return TrainingState(metadata, state, best)

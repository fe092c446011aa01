"""What a stopped training needs to go on as if it had never stopped: one file, whole or absent."""

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
    """Training after an epoch. `metadata` is JSON: epochs so far, state of the rng, best so far."""

    metadata: dict[str, Any]
    state: list[NDArray[Any]]
    best: list[NDArray[Any]]


class Checkpoint:
    """A file that holds the last snapshot of one training; `key` says of which.

    A file of another key belongs to other settings or pictures, and is ignored.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key

    def save(self, snapshot: TrainingState) -> None:
        """Replaces the file, whole or not at all. Raises EdgeInspectError when it cannot."""
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
                "folder's permissions, then give the same command again: it goes on from here"
            ) from error
        finally:
            half.unlink(missing_ok=True)

    def load(self) -> TrainingState | None:
        """The last snapshot of this training, or None where there is none."""
        try:
            with np.load(self._path, allow_pickle=False) as file:
                metadata = json.loads(bytes(file["facts"]))
                if metadata.pop("key", None) != self._key:
                    return None
                names = sorted(file.files)
                state = [file[name] for name in names if name.startswith("state")]
                best = [file[name] for name in names if name.startswith("best")]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # none yet, or damaged from outside: then from the start
        return TrainingState(metadata, state, best)

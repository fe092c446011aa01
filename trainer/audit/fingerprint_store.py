"""The fingerprints of all pictures, in a temporary file: memory does not grow with the data set."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import KEPT, MIRRORED, THUMBNAIL_SIDE, Fingerprint, Plane

Thumbs = NDArray[np.uint8]
_MIDDLE = 128.0
_UNIT = 42.0  # grey levels that standard_light gives to one local spread


class FingerprintStore:
    """Rows of fingerprints by number, as a context: the file is gone afterwards.

    17 KB a picture on disk, of which the system keeps in memory what it can spare.
    """

    def __init__(self, capacity: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edge-audit-")
        root = Path(self._folder.name)
        rows = max(1, capacity)
        self._thumbs = np.memmap(
            root / "thumbs", np.uint8, "w+", shape=(rows, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        )
        self._words = np.memmap(root / "words", np.uint8, "w+", shape=(rows, KEPT, 128))
        self._points = np.zeros((rows, KEPT, 2), np.float16)
        self._counts = np.zeros(rows, np.int64)
        self._aspects = np.ones(rows)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._thumbs, self._words  # unmapped, else Windows would not let the file go
        self._folder.cleanup()

    def add(self, fingerprint: Fingerprint) -> int:
        """Keeps a fingerprint and returns its row."""
        row, count = self._rows, len(fingerprint.points)
        self._thumbs[row] = fingerprint.thumbnail
        self._words[row, :count] = fingerprint.descriptors
        self._points[row, :count] = fingerprint.points
        self._counts[row] = count
        self._aspects[row] = fingerprint.aspect
        self._rows += 1
        return row

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many key points each row has, (n,)."""
        return self._counts[: self._rows]

    @property
    def aspects(self) -> NDArray[np.float64]:
        """Width / height of each picture, (n,)."""
        return self._aspects[: self._rows]

    def plane(self, row: int) -> Plane:
        """The thumbnail in units of local spread: float32, (96, 96), 0 in the middle."""
        taken = np.asarray(self._thumbs[row], np.float32)
        return np.asarray((taken - _MIDDLE) / _UNIT, np.float32)

    def planes(self, rows: slice | NDArray[np.int64]) -> Plane:
        """Several of them: float32, (k, 96, 96)."""
        taken = np.asarray(self._thumbs[: self._rows][rows], np.float32)
        return np.asarray((taken - _MIDDLE) / _UNIT, np.float32)

    def points(self, row: int) -> Plane:
        """Key points: float32, (k, 2), x and y from 0 to 1."""
        return self._points[row, : self._counts[row]].astype(np.float32)

    def words(self, rows: slice, mirrored: bool = False) -> Plane:
        """Descriptors of several rows, one under the other: float32, (sum of k, 128), length 1."""
        taken = self._words[: self._rows][rows]
        there = np.arange(KEPT)[None, :] < self._counts[: self._rows][rows][:, None]
        return _rooted(taken[there], mirrored)

    def descriptors(self, row: int, mirrored: bool = False) -> Plane:
        """Descriptors of one row: float32, (k, 128), length 1."""
        return _rooted(self._words[row, : self._counts[row]], mirrored)


def _rooted(described: Thumbs, mirrored: bool) -> Plane:
    """RootSIFT (Arandjelović and Zisserman, 2012): their products compare better than SIFT's."""
    plane = (described[:, MIRRORED] if mirrored else described).astype(np.float32)
    return np.asarray(np.sqrt(plane / (plane.sum(axis=1, keepdims=True) + 1e-6)), np.float32)

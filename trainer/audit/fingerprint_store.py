"""Stores fingerprints in temporary files, so that memory does not grow with the data set."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import MAX_POINTS, THUMBNAIL_SIDE, Fingerprint, Plane, root_sift

Thumbs = NDArray[np.uint8]
_MIDDLE = 128.0
_UNIT = 42.0  # grey levels that standard_light gives to one local spread


class FingerprintStore:
    """Fingerprints by row number; a context manager that removes the files at its end.

    A picture takes 17 KB on disk. The system caches as much of it as memory allows.
    """

    def __init__(self, capacity: int) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = tempfile.TemporaryDirectory(
            prefix="edge-audit-"
        )
        self._root = root = Path(self._folder.name)
        rows = max(1, capacity)
        self._thumbs = np.memmap(
            root / "thumbs", np.uint8, "w+", shape=(rows, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        )
        self._descriptors = np.memmap(
            root / "descriptors", np.uint8, "w+", shape=(rows, MAX_POINTS, 128)
        )
        self._points = np.zeros((rows, MAX_POINTS, 2), np.float16)
        self._counts = np.zeros(rows, np.int64)
        self._aspects = np.ones(rows)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __getstate__(self) -> dict[str, Any]:
        """For another process of this audit: it reads the same files and does not remove them."""
        self._thumbs.flush()
        self._descriptors.flush()
        kept = {"_root", "_points", "_counts", "_aspects", "_rows"}
        return {name: value for name, value in vars(self).items() if name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._folder = None
        rows = len(self._counts)
        side = THUMBNAIL_SIDE
        self._thumbs = np.memmap(self._root / "thumbs", np.uint8, "r", shape=(rows, side, side))
        self._descriptors = np.memmap(
            self._root / "descriptors", np.uint8, "r", shape=(rows, MAX_POINTS, 128)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._thumbs, self._descriptors  # unmap: Windows does not remove mapped files
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, fingerprint: Fingerprint) -> int:
        """Adds a fingerprint and returns its row number."""
        row, count = self._rows, len(fingerprint.points)
        self._thumbs[row] = fingerprint.thumbnail
        self._descriptors[row, :count] = fingerprint.descriptors
        self._points[row, :count] = fingerprint.points
        self._counts[row] = count
        self._aspects[row] = fingerprint.aspect
        self._rows += 1
        return row

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of key points of each row, (n,)."""
        return self._counts[: self._rows]

    @property
    def aspects(self) -> NDArray[np.float64]:
        """Width / height of each picture, (n,)."""
        return self._aspects[: self._rows]

    def plane(self, row: int) -> Plane:
        """The thumbnail in units of local spread: float32, (96, 96); middle grey is 0."""
        thumbnail = np.asarray(self._thumbs[row], np.float32)
        return np.asarray((thumbnail - _MIDDLE) / _UNIT, np.float32)

    def planes(self, rows: slice | NDArray[np.int64]) -> Plane:
        """As `plane`, for several rows: float32, (k, 96, 96)."""
        thumbnails = np.asarray(self._thumbs[: self._rows][rows], np.float32)
        return np.asarray((thumbnails - _MIDDLE) / _UNIT, np.float32)

    def points(self, row: int) -> Plane:
        """Key points: float32, (k, 2), x and y from 0 to 1."""
        return self._points[row, : self._counts[row]].astype(np.float32)

    def descriptor_rows(self, rows: slice, *, mirrored: bool = False) -> Plane:
        """The descriptors of several rows, concatenated: float32, (sum of k, 128), length 1."""
        descriptors = self._descriptors[: self._rows][rows]
        present = np.arange(MAX_POINTS)[None, :] < self._counts[: self._rows][rows][:, None]
        return root_sift(descriptors[present], mirrored=mirrored)

    def descriptors(self, row: int, *, mirrored: bool = False) -> Plane:
        """The descriptors of one row: float32, (k, 128), length 1."""
        return root_sift(self._descriptors[row, : self._counts[row]], mirrored=mirrored)

"""Stores fingerprints in temporary files, so that memory does not grow with the data set."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import DatasetError
from trainer.audit.fingerprint import MAX_POINTS, THUMBNAIL_SIDE, Fingerprint, Plane, root_sift

Bytes = NDArray[np.uint8]
_MIDDLE = 128.0
_UNIT = 42.0  # grey levels that standard_light gives to one local spread


class _RowFile:
    """Arrays of one shape, uint8, in a file. A mapped file would count as memory once read."""

    def __init__(self, path: Path, shape: tuple[int, ...], mode: str) -> None:
        self._file: Any = path.open(mode, buffering=0)
        self._shape = shape
        self._size = int(np.prod(shape))

    def write(self, row: int, array: Bytes) -> None:
        self._file.seek(row * self._size)
        try:
            written = self._file.write(np.ascontiguousarray(array).data)
        except OSError as error:
            raise self._no_room(str(error.strerror)) from error
        if written != self._size:
            raise self._no_room("no space left")

    def _no_room(self, reason: str) -> DatasetError:
        folder = Path(self._file.name).parent.parent
        return DatasetError(
            f"{folder}: the audit cannot write its temporary files ({reason}); they need 17 KB a"
            " picture: free some space, or set TMPDIR to another folder"
        )

    def read(self, start: int, count: int) -> Bytes:
        """`count` rows from `start` on: uint8, (count, *shape)."""
        found = np.empty((count, *self._shape), np.uint8)
        self._file.seek(start * self._size)
        self._file.readinto(found.data)
        return found

    def close(self) -> None:
        self._file.close()


class FingerprintStore:
    """Fingerprints by row number; a context manager that removes the files at its end.

    A picture takes 17 KB on disk. The system caches as much of it as memory allows.
    """

    def __init__(self, capacity: int) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = tempfile.TemporaryDirectory(
            prefix="edge-audit-"
        )
        self._root = Path(self._folder.name)
        rows = max(1, capacity)
        self._points = np.zeros((rows, MAX_POINTS, 2), np.float16)
        self._counts = np.zeros(rows, np.int64)
        self._aspects = np.ones(rows)
        self._rows = 0
        self._open("w+b")

    def _open(self, mode: str) -> None:
        thumbnail = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        self._thumbnails = _RowFile(self._root / "thumbnails", thumbnail, mode)
        self._descriptors = _RowFile(self._root / "descriptors", (MAX_POINTS, 128), mode)

    def __len__(self) -> int:
        return self._rows

    def __getstate__(self) -> dict[str, Any]:
        """For another process of this audit: it reads the same files and does not remove them."""
        kept = {"_root", "_points", "_counts", "_aspects", "_rows"}
        return {name: value for name, value in vars(self).items() if name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._folder = None
        self._open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thumbnails.close()  # Windows does not remove open files
        self._descriptors.close()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, fingerprint: Fingerprint) -> int:
        """Adds a fingerprint and returns its row number."""
        row, count = self._rows, len(fingerprint.points)
        descriptors = np.zeros((MAX_POINTS, 128), np.uint8)
        descriptors[:count] = fingerprint.descriptors
        self._thumbnails.write(row, fingerprint.thumbnail)
        self._descriptors.write(row, descriptors)
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
        thumbnail = self._thumbnails.read(row, 1)[0].astype(np.float32)
        return np.asarray((thumbnail - _MIDDLE) / _UNIT, np.float32)

    def points(self, row: int) -> Plane:
        """Key points: float32, (k, 2), x and y from 0 to 1."""
        return self._points[row, : self._counts[row]].astype(np.float32)

    def descriptor_rows(self, rows: slice, *, mirrored: bool = False) -> Plane:
        """The descriptors of several rows, concatenated: float32, (sum of k, 128), length 1."""
        counts = self.counts[rows]
        present = np.arange(MAX_POINTS)[None, :] < counts[:, None]
        descriptors = self._descriptors.read(rows.start, len(counts))
        return root_sift(descriptors[present], mirrored=mirrored)

    def descriptors(self, row: int, *, mirrored: bool = False) -> Plane:
        """The descriptors of one row: float32, (k, 128), length 1."""
        return root_sift(self._descriptors.read(row, 1)[0, : self._counts[row]], mirrored=mirrored)

"""The limits of the evidence: bytes, age and free disk, and which record goes when one is passed.

- The camera with the most bytes loses its oldest record, so a busy camera does not push out the
  others.
- A labelled picture that nobody exported goes last, and only for bytes. Each such loss is a
  fault in `health`.
"""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from edge.config import ArchiveConfig
from edge.storage.evidence.index import EvidenceIndex

log = logging.getLogger(__name__)

_MB = 2**20
_DAY_S = 86_400.0
_CLOCK_SET = "2020-01-01"  # a day before it is of a clock that nobody had set: its age is unknown


class LowDiskError(OSError):
    """The disk has less room than `archive.min_free_mb`, and there is nothing to delete."""


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write where `path` is or will be. Raises OSError."""
    while not path.exists() and path != path.parent:
        path = path.parent
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


class EvidenceLimits:
    """For one thread."""

    def __init__(
        self,
        config: ArchiveConfig,
        index: EvidenceIndex,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.lost: list[str] = []  # ids of labelled records that were deleted before an export
        self._config, self._index, self._free = config, index, free
        self._aged_until = ""

    def make_room(self) -> None:
        """Deletes until `min_free_mb` are free. Raises LowDiskError when that is not possible."""
        wanted = self._config.min_free_mb * _MB
        missing = wanted - self._free(self._config.path)
        if missing <= 0:
            return
        # counts the deleted bytes: some file systems free them later
        until = self._index.bytes - missing
        while self._index.bytes > until and self._delete_oldest():
            pass
        if self._free(self._config.path) < wanted:
            raise LowDiskError(
                f"less than {self._config.min_free_mb:g} MB are free on its disk "
                "(archive.min_free_mb)"
            )

    def enforce(self, now: float) -> None:
        """Deletes pictures that are too old or above the budget. `now`: seconds since the epoch.
        Raises OSError."""
        self._delete_aged(now)
        budget = self._config.max_mb * _MB
        while self._index.bytes > budget and self._index.records > 1:
            if not self._delete_oldest() and not self._delete_labelled():
                break

    def _delete_aged(self, now: float) -> None:
        if self._config.max_age_d is None:
            return
        day = datetime.fromtimestamp(now - self._config.max_age_d * _DAY_S, UTC).date().isoformat()
        if day != self._aged_until:
            self._index.delete_days(_CLOCK_SET, day)
            self._aged_until = day

    def _delete_oldest(self) -> bool:
        return any(self._index.delete_oldest(name) is not None for name in self._largest_first())

    def _delete_labelled(self) -> bool:
        for camera in self._largest_first():
            found = self._index.delete_oldest(camera, protected=True)
            if found:
                self.lost.append(found)
                log.error(
                    "archive: %s: the labelled picture of verdict %s was deleted before it was "
                    "exported, because archive.max_mb is full of labelled pictures; run "
                    "edge-inspect export --labelled, or raise archive.max_mb",
                    self._config.path,
                    found,
                )
            if found is not None:
                return True
        return False

    def _largest_first(self) -> list[str]:
        by_camera = self._index.bytes_by_camera()
        return sorted(by_camera, key=by_camera.__getitem__, reverse=True)

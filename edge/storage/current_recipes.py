"""Which recipe is current at each camera, which goes on after a restart.

A small file beside the outbox has the numbers of all cameras. A change survives `kill -9` when
`note` returns, and a power cut when `flush` returns.
"""

import logging
import threading
from pathlib import Path

from edge.storage.record_pair import RecordPair

log = logging.getLogger(__name__)

_MARK = b"edge-inspect recipes 1 "


class CurrentRecipes:
    """Safe between threads. Raises nothing when the file system refuses: `fault` has the reason."""

    def __init__(self, outbox: Path) -> None:
        """Reads the file of the last process. Opens it for writing with the first change."""
        self.fault = ""
        self._path = outbox.with_name(f"{outbox.name}.recipes")
        self._lock = threading.Lock()
        self._records = RecordPair(self._path, _MARK, "too many cameras")
        newest = self._records.newest
        self._current: dict[str, int] = dict(newest["current"]) if newest else {}

    def all(self) -> dict[str, int]:
        """The number of the current recipe by camera."""
        with self._lock:
            return dict(self._current)

    def note(self, camera: str, number: int) -> None:
        """This recipe is current from now on. Does not wait for the disk."""
        with self._lock:
            self._current[camera] = number
            try:
                self._records.write({"current": self._current})
            except (OSError, ValueError) as error:
                self._refused(error)
            else:
                self.fault = ""

    def flush(self) -> None:
        """Returns when all changes are on the disk."""
        with self._lock:
            try:
                self._records.flush()
            except OSError as error:
                self._refused(error)

    def close(self) -> None:
        """Flushes and closes the file."""
        with self._lock:
            self._records.close()

    def _refused(self, error: OSError | ValueError) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        if reason != self.fault:
            log.error(
                "%s: the current recipe cannot be noted (%s); after a restart an older one may be "
                "current; make room, or check the file and its owner",
                *(self._path, reason),
            )
        self.fault = reason

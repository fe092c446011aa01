"""The numbers of triggers (`trigger.number`), which go on after a restart.

A small file beside the outbox has the last number of each camera. Each trigger overwrites one of
its two records in turn. The kernel decides when they reach the disk, so that no trigger waits, and
the SD card is spared. They are exact after `kill -9`. After a power cut they may be half a minute
old: the numbers then go on behind all that can have been used since.
"""

import contextlib
import logging
import threading
from pathlib import Path

from edge.storage.record_pair import RecordPair

log = logging.getLogger(__name__)

_SKIPPED = 5_000  # more triggers than a camera gets before the kernel writes the file
_MARK = b"edge-inspect triggers 1 "


class TriggerNumbers:
    """Safe between threads. Never raises when the file system refuses: the numbers go on, but start
    again after a restart."""

    def __init__(self, outbox: Path, boot_id: str, *, create: bool = True) -> None:
        """Reads the file of the last process, and notes that this one uses its numbers.

        create: else a file that is missing is created with the first trigger.
        """
        self._path, self._boot_id = outbox.with_name(f"{outbox.name}.triggers"), boot_id
        self._lock = threading.Lock()
        self._records = RecordPair(self._path, _MARK, "too many cameras")
        self._refused = False
        newest = self._records.newest
        self._last: dict[str, int] = dict(newest["last"]) if newest else {}
        same_boot = newest and newest["boot_id"] == boot_id != "unknown"
        skipped = _SKIPPED if newest and not newest["settled"] and not same_boot else 0
        self._last = {camera: last + skipped for camera, last in self._last.items()}
        # a camera that is not in the record may have used numbers before an earlier power cut
        self._others = (newest.get("others", 0) if newest else 0) + skipped
        if create or newest:
            self._write(settled=False)
            self._flush()

    def next(self, camera: str) -> int:
        """The number of a camera's new trigger."""
        with self._lock:
            self._last[camera] = self._last.get(camera, self._others) + 1
            self._write(settled=False)
            return self._last[camera]

    def close(self) -> None:
        """Flushes the file: its numbers are exact, also after a reboot."""
        with self._lock:
            if self._records.is_open:
                self._write(settled=True)
            self._records.close()

    def _flush(self) -> None:
        with contextlib.suppress(OSError):
            self._records.flush()

    def _write(self, *, settled: bool) -> None:
        content = {
            "boot_id": self._boot_id,
            "settled": settled,
            "last": self._last,
            "others": self._others,
        }
        try:
            self._records.write(content)
            self._refused = False
        except (OSError, ValueError) as error:
            if not self._refused:
                log.error(
                    "%s: the numbers of triggers cannot be noted (%s); after a restart they may "
                    "come again; make room, or check the file and its owner",
                    self._path,
                    getattr(error, "strerror", None) or error,
                )
            self._refused = True

"""The numbers of triggers (`trigger.number`), which go on after a restart.

A small file beside the outbox has the last number of each camera. Each trigger overwrites one of
its two records in turn. The kernel decides when they reach the disk, so that no trigger waits, and
the SD card is spared. They are exact after `kill -9`. After a power cut they may be half a minute
old: the numbers then go on behind all that can have been used since.
"""

import contextlib
import json
import logging
import os
import stat
import threading
import zlib
from pathlib import Path
from typing import Any

from edge.core.regular_file import read_regular

log = logging.getLogger(__name__)

_SLOT = 16_384  # bytes of a record
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
        self._file: int | None = None
        self._refused = False
        found = [one for one in map(_parsed, _slots(self._path)) if one is not None]
        newest = max(found, key=lambda one: one["turn"], default=None)
        self._turn = newest["turn"] if newest else 0
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
            if self._file is not None:
                self._write(settled=True)
            self._flush()
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _flush(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._file)

    def _write(self, *, settled: bool) -> None:
        self._turn += 1
        content = {
            "turn": self._turn,
            "boot_id": self._boot_id,
            "settled": settled,
            "last": self._last,
            "others": self._others,
        }
        try:
            if self._file is None:
                self._file = _opened(self._path)
            os.pwrite(self._file, _record(content), self._turn % 2 * _SLOT)
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


def _record(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    record = _MARK + b"%08x %s\n" % (zlib.crc32(text), text)
    if len(record) > _SLOT:
        raise ValueError("too many cameras")
    return record


def _parsed(slot: bytes) -> dict[str, Any] | None:
    try:
        checksum, text = slot.removeprefix(_MARK).split(b"\n")[0].split(b" ", 1)
        content: dict[str, Any] = json.loads(text)
        intact = int(checksum, 16) == zlib.crc32(text)
    except ValueError:
        return None
    return content if intact else None


def _slots(path: Path) -> list[bytes]:
    try:
        content = read_regular(path)
    except OSError:
        return []
    return [content[:_SLOT], content[_SLOT:]]


def _opened(path: Path) -> int:
    """The file for writing. Raises OSError, also for a link, and ValueError for a foreign file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    start = os.pread(file, 2 * _SLOT, 0) if stat.S_ISREG(os.fstat(file).st_mode) else b"?"
    if start and _MARK not in start:
        os.close(file)
        raise ValueError("it is another program's file")
    return file

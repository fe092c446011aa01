"""Which numbers were given: a small file beside the outbox, so that no number is given twice
whatever happens to the outbox.

One record of fixed size, written over in place: that works on a disk that is full. `given` says
that numbers up to `reserved` may have been given to verdicts that are on no disk; a start after
that goes on behind them. The file is also the lock: one outbox, one daemon.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import threading
import zlib
from pathlib import Path

log = logging.getLogger(__name__)

BLOCK = 1000  # numbers reserved by one write
_RECORD = re.compile(rb"edge-inspect numbers 1 (\d{20}) ([01]) ([0-9a-f]{8})\n")
_BYTES = 55


class InUseError(Exception):
    """Another process holds the lock; `str()` of it is that process's id, if known."""


class Numbers:
    """Safe between threads."""

    def __init__(self, outbox: Path, memory: Path | None = None) -> None:
        """`memory`: a folder in memory, for what a disk that is read-only will not take; None: that
        of systemd, else /dev/shm. Raises InUseError."""
        self.path = outbox.with_name(f"{outbox.name}.numbers")
        name = hashlib.sha256(str(outbox.absolute()).encode()).hexdigest()[:16]
        self._memory = (memory or _memory()) / f"edge-inspect-{name}.numbers"
        self._lock = threading.Lock()
        self._fd = self._open()
        found = [r for r in (self._read(), _parsed(_content(self._memory))) if r is not None]
        self.known = bool(found)
        self.reserved = max((reserved for reserved, _ in found), default=0)
        self.given = any(given for _, given in found)

    def reserve(self, number: int, *, given: bool) -> None:
        """Before `number` is given: whether from memory (`given`) or together with its row. Writes
        once in a block. Never fails: what no disk takes is noted in memory, which a power cut
        forgets."""
        if number <= self.reserved and (self.given or not given):
            return  # without the lock: the usual case
        with self._lock:
            self._note(max(self.reserved, number + BLOCK), given=self.given or given)

    def settle(self) -> None:
        """Every number that was given is in the outbox or done with."""
        with self._lock:
            if self.given:
                self._note(self.reserved, given=False)

    def close(self) -> None:
        """Gives the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _note(self, reserved: int, *, given: bool) -> None:
        head = b"edge-inspect numbers 1 %020d %d " % (reserved, given)
        record = head + b"%08x\n" % zlib.crc32(head)
        if self._fd is None:
            with contextlib.suppress(InUseError):
                self._fd = self._open()
        written = self._fd is not None and _written(self._fd, record)
        with contextlib.suppress(OSError):
            if written:
                self._memory.unlink(missing_ok=True)
            else:
                self._memory.write_bytes(record)
        self.reserved, self.given = reserved, given

    def _open(self) -> int | None:
        for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                fd = os.open(self.path, flags | os.O_CLOEXEC, 0o600)
            except OSError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                raise InUseError from None
            return fd
        return None

    def _read(self) -> tuple[int, bool] | None:
        if self._fd is None:
            return None
        return _parsed(os.pread(self._fd, _BYTES * 2, 0))


def _written(fd: int, record: bytes) -> bool:
    try:
        os.pwrite(fd, record, 0)
        os.fdatasync(fd)
    except OSError:
        return False
    return True


def _memory() -> Path:
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(runtime or "/dev/shm")  # noqa: S108  one name for one outbox, in a locked record


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parsed(record: bytes) -> tuple[int, bool] | None:
    match = _RECORD.match(record)
    if match is None or int(match[3], 16) != zlib.crc32(record[: match.start(3)]):
        return None
    return int(match[1]), match[2] == b"1"

"""Which numbers were given: a small file beside the outbox, so that no number is given twice
whatever happens to the outbox.

Records of fixed size, written over in place: that works on a disk that is full. Two of them,
written in turn, say up to where numbers are reserved, and whether some may have been given to
verdicts that are on no disk (`given`): a start after that goes on behind them. A third, written at
each commit but left to the kernel to flush, says what the outbox should hold: it outlives kill -9,
so that a file that was cut, or put back from a copy, is noticed. The file is also the lock: one
outbox, one daemon.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

BLOCK = 1000  # numbers reserved by one write
_SLOT = 512  # bytes between records: one sector each, which is written whole or not at all
_RECORD = re.compile(rb"edge-inspect numbers 1 (\d{20}) (\d{20}) (\d{20}) ([0-9a-f]{8})\n")


class InUseError(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the outbox held after a commit: its highest number, and the lowest that waited; 0: none
    waited."""

    last: int
    oldest: int


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
        content = b"" if self._fd is None else os.pread(self._fd, 4 * _SLOT, 0)
        found = [_parsed(content[:_SLOT]), _parsed(content[_SLOT : 2 * _SLOT])]
        found.append(_parsed(_content(self._memory)))
        right = [record for record in found if record is not None]
        self._turn = max((turn for turn, _, _ in right), default=0)
        self.reserved = max((reserved for _, reserved, _ in right), default=0)
        self.given = any(turn == self._turn and given for turn, _, given in right)
        # there were numbers, and nobody knows which
        self.unreadable = not right and bool(content.strip(b"\0"))
        self.known = bool(right)
        said = _parsed(content[2 * _SLOT : 3 * _SLOT])
        self.progress = None if said is None else Progress(said[0], said[1])

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

    def committed(self, progress: Progress) -> None:
        """What the outbox holds from now on. Never fails, and waits for no disk."""
        with self._lock, contextlib.suppress(OSError):
            self.progress = progress
            if self._fd is not None:
                os.pwrite(self._fd, _record(progress.last, progress.oldest, 0), 2 * _SLOT)

    def close(self) -> None:
        """Gives the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _note(self, reserved: int, *, given: bool) -> None:
        self._turn += 1
        record = _record(self._turn, reserved, int(given))
        if self._fd is None:
            with contextlib.suppress(InUseError):
                self._fd = self._open()
        written = self._fd is not None and _written(self._fd, record, self._turn % 2 * _SLOT)
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
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                return None
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                raise InUseError from None
            return fd
        return None


def _record(first: int, second: int, third: int) -> bytes:
    head = b"edge-inspect numbers 1 %020d %020d %020d " % (first, second, third)
    return head + b"%08x\n" % zlib.crc32(head)


def _parsed(record: bytes) -> tuple[int, int, bool] | None:
    match = _RECORD.match(record)
    if match is None or int(match[4], 16) != zlib.crc32(record[: match.start(4)]):
        return None
    return int(match[1]), int(match[2]), bool(int(match[3]))


def _written(fd: int, record: bytes, at: int) -> bool:
    try:
        os.pwrite(fd, record, at)
        os.fdatasync(fd)
    except OSError:
        return False
    return True


def _memory() -> Path:
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(runtime or "/dev/shm")  # noqa: S108  one name for one outbox, its record checked


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

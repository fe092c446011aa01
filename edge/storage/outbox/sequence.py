"""Allocates the numbers of verdicts in blocks (hi-lo). A small file beside the outbox ensures that
no number is issued twice, whatever happens to the outbox.

The file has three records of fixed size. They are overwritten in place, which works on a full disk.
- Two records are written in turn. They hold the end of the reserved block, and whether verdicts
  that are on no disk may have numbers (`issued_unstored`). After a crash the next start skips the
  rest of the block.
- The third is written at each commit, but the kernel decides when it reaches the disk. It holds
  what the outbox should contain. It survives kill -9, so the start detects an outbox that was cut
  or replaced by an older copy.
The file is also the lock: one outbox, one daemon. It is believed only when no other user can have
written it.
"""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import stat
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

from edge.storage.outbox.ownership import numbers_of

log = logging.getLogger(__name__)

_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a link or a pipe may be in its place
BLOCK = 1000  # numbers reserved by one write
_SAFE_GAP = 20 * BLOCK  # more numbers than one process can issue without a record
_SLOT = 512  # bytes between records: a sector is written whole or not at all
_RECORD = re.compile(rb"edge-inspect numbers 1 (\d{20}) (\d{20}) (\d{20}) ([0-9a-f]{8})\n")
_HIGHEST = 2**62  # SQLite's integers have 63 bits


class UntrustedError(Exception):
    """Another user may have written the file. The text completes "the file …"."""


class InUseError(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The content of the outbox after a commit.

    last: its highest number.
    oldest: the lowest number that waited; 0: none.
    """

    last: int
    oldest: int


def outbox_in_use(outbox: Path) -> bool:
    """Whether a daemon uses this outbox, or another user's that we cannot ask."""
    try:
        with outbox.with_name(f"{outbox.name}.numbers").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class SequenceAllocator:
    """Safe between threads."""

    def __init__(self, outbox: Path, memory: Path | None = None) -> None:
        """Opens and locks the file. Raises InUseError and UntrustedError.

        memory: a folder in memory for the records that a read-only disk does not take; None: the
            runtime directory of systemd, else one of this user in /dev/shm.
        """
        self.path = numbers_of(outbox)
        name = hashlib.sha256(str(outbox.absolute()).encode()).hexdigest()[:16]
        self._memory = (memory or _memory()) / f"edge-inspect-{name}.numbers"
        self._lock = threading.Lock()
        self._fd = self._open()
        content = b"" if self._fd is None else os.pread(self._fd, 4 * _SLOT, 0)
        found = [_parsed(content[:_SLOT]), _parsed(content[_SLOT : 2 * _SLOT])]
        if _is_private(self._memory.parent):
            found.append(_parsed(_content(self._memory)))
        elif self._memory.parent.exists():
            log.warning("%s: other users may write there; not used", self._memory.parent)
        right = [record for record in found if record is not None]
        self._turn = max((turn for turn, _, _ in right), default=0)
        self.reserved = max((reserved for _, reserved, _ in right), default=0)
        self.issued_unstored = any(turn == self._turn and unstored for turn, _, unstored in right)
        # there are records, but none is readable
        self.unreadable = not right and bool(content.strip(b"\0"))
        self.known = bool(right)
        recorded = _parsed(content[2 * _SLOT : 3 * _SLOT])
        self.progress = None if recorded is None else Progress(recorded[0], recorded[1])

    @property
    def recorded_last(self) -> int:
        """The highest number that the outbox should hold; 0: not recorded."""
        return self.progress.last if self.progress is not None else 0

    def begin(self) -> None:
        """No number was ever issued. To be called before the outbox is created: a start that cannot
        open it knows then that it holds none."""
        with self._lock:
            self._write(0, unstored=False)

    def last_issued_at_most(self, last: int, *, file_is_whole: bool) -> int:
        """An upper bound of the numbers that were ever issued, for the start.

        last: the highest number in the outbox.
        file_is_whole: whether the outbox could be opened and was not damaged.
        """
        recorded = self.recorded_last
        if self.unreadable:
            return max(last, recorded) + _SAFE_GAP
        uncertain = self.issued_unstored or not file_is_whole or recorded > last
        if uncertain or (last == 0 and self.reserved > 0):
            return max(last, recorded, self.reserved)
        return last

    def reserve(self, number: int, *, unstored: bool) -> None:
        """To be called before `number` is issued. Writes once per block.

        unstored: the verdict may be sent before it is on disk.

        Never fails: a record that no disk takes is written to memory, which a power cut clears.
        """
        if number <= self.reserved and (self.issued_unstored or not unstored):
            return  # without the lock: the usual case
        with self._lock:
            unstored = self.issued_unstored or unstored
            self._write(max(self.reserved, number + BLOCK), unstored=unstored)

    def settle(self) -> None:
        """The outbox knows every number that was issued."""
        with self._lock:
            if self.issued_unstored:
                self._write(self.reserved, unstored=False)

    def committed(self, progress: Progress) -> None:
        """Records the content of the outbox. Never fails, and never waits for a disk."""
        with self._lock, contextlib.suppress(OSError):
            self.progress = progress
            if self._fd is not None:
                os.pwrite(self._fd, _record(progress.last, progress.oldest, 0), 2 * _SLOT)

    def close(self) -> None:
        """Releases the lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, reserved: int, *, unstored: bool) -> None:
        self._turn += 1
        record = _record(self._turn, reserved, int(unstored))
        if self._fd is None:
            with contextlib.suppress(InUseError, UntrustedError):
                self._fd = self._open()
        written = self._fd is not None and _written(self._fd, record, self._turn % 2 * _SLOT)
        with contextlib.suppress(OSError):
            if not written:
                self._memory.parent.mkdir(mode=0o700, exist_ok=True)
            if _is_private(self._memory.parent):
                if written:
                    self._memory.unlink(missing_ok=True)
                else:
                    self._memory.write_bytes(record)
        self.reserved, self.issued_unstored = reserved, unstored

    def _open(self) -> int | None:
        for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                fd = os.open(self.path, flags | _SAFELY, 0o600)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise UntrustedError("is a link; delete it") from None
                continue
            if why := _distrust(os.fstat(fd), self.path.parent.stat()):
                os.close(fd)
                raise UntrustedError(why)
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
    first, second, third = (int(match[group]) for group in (1, 2, 3))
    return (first, second, bool(third)) if max(first, second) < _HIGHEST else None


def _written(fd: int, record: bytes, at: int) -> bool:
    try:
        os.pwrite(fd, record, at)
        os.fdatasync(fd)
    except OSError:
        return False
    return True


def _memory() -> Path:
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    # every user may write into /dev/shm: `_is_private` decides whether this folder is believed
    own = f"/dev/shm/edge-inspect-{os.geteuid()}"  # noqa: S108
    return Path(runtime).resolve() if runtime else Path(own)


def _is_private(folder: Path) -> bool:
    """Whether no other user may write into the folder. A link is none."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return ours and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _distrust(file: os.stat_result, folder: os.stat_result) -> str:
    """Why another user may have written the file; empty: none can have. The owner of the folder
    could replace the outbox too, and so could everyone where the disk knows no permissions."""
    if not stat.S_ISREG(file.st_mode):
        return "is no regular file; delete it"
    if file.st_uid not in (0, os.geteuid(), folder.st_uid):
        return f"belongs to another user (uid {file.st_uid}); find out why, and delete or chown it"
    if file.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_IWOTH:
        return "can be written by every user of this machine; chmod 600 it"
    return ""


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

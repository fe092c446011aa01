"""The journal of changes: `journal.jsonl` beside the outbox, one JSON line for each change of a
recipe, a model or the configuration.

Each line holds the SHA-256 of the line before it, so a line of the past cannot be changed, removed
or inserted without breaking the chain. A line is on the disk before its call returns. A full file
is renamed to `journal.1.jsonl`, and the next file goes on with the chain.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from edge.core.errors import RefusedError
from edge.core.messages import rfc3339, to_json
from edge.core.regular_file import read_regular

log = logging.getLogger(__name__)

SCHEMA = "edge-inspect/journal/1"
START = "0" * 64  # what the first line of all holds in place of a hash
Kind = Literal["recipe", "model", "config"]
_MAX_BYTES = 4 * 2**20  # a line has about 300 bytes
_FILES = 4  # full files that are kept
_TAIL_BYTES = 1 << 16  # more than two lines


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One change.

    - `at`: RFC 3339; `by`: who requested it, as transport and name.
    - `subject`: what was changed: a camera, a model's name, or config.yaml.
    - `before`, `after`: the values; None: there was none.
    - `previous`: the SHA-256 of the line before.
    """

    at: str
    kind: Kind
    by: str
    subject: str
    before: Any
    after: Any
    previous: str

    @property
    def hash(self) -> str:
        """The SHA-256 of its line, which the next line holds. Who keeps it can find later that the
        file was written anew."""
        return hashlib.sha256(self.line()).hexdigest()

    def line(self) -> bytes:
        """As the file holds it, with the line end."""
        return to_json({"schema": SCHEMA, **asdict(self)}) + b"\n"


@dataclass(frozen=True, slots=True)
class Change:
    """What `Journal.add_all` writes: an entry without time and chain."""

    kind: Kind
    by: str
    subject: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What `verify` found. `problem`: where the chain breaks; None: it is whole."""

    entries: int
    first: str
    last_hash: str
    problem: str | None = None


class Journal:
    """Safe between threads and processes; opens its file for each call."""

    def __init__(
        self,
        path: Path,
        now: Callable[[], float],
        *,
        on_entry: Callable[[JournalEntry], None] = lambda _entry: None,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        """Parameters:

        now: seconds since the epoch.
        on_entry: gets each entry when it is on the disk.
        max_bytes: past this size a new file begins.
        """
        self.path = path
        self.fault = ""  # why the last entry could not be written
        self._now, self._on_entry, self._max_bytes = now, on_entry, max_bytes
        self._lock = threading.Lock()

    @staticmethod
    def place(outbox: Path) -> Path:
        """The journal of an outbox."""
        return outbox.with_name("journal.jsonl")

    @classmethod
    def beside(
        cls, outbox: Path, now: Callable[[], float], on_entry: Callable[[JournalEntry], None]
    ) -> Self:
        """The journal of an outbox."""
        return cls(cls.place(outbox), now, on_entry=on_entry)

    def add(self, kind: Kind, by: str, before: Any, after: Any, subject: str = "") -> None:
        """Appends one change; see `add_all`."""
        self.add_all([Change(kind, by, subject, before, after)])

    def add_all(self, changes: Sequence[Change]) -> None:
        """Appends changes, and returns when they are on the disk. Raises nothing: a change that was
        made is not taken back because it cannot be written down. `fault` then has the reason."""
        if not changes:
            return
        try:
            with self._lock:
                entries = self._append(changes)
        except (OSError, RefusedError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            if reason != self.fault:
                log.error(
                    "%s: %d changes cannot be written (%s); make room, or check the file and its "
                    "owner",
                    *(self.path, len(changes), reason),
                )
            self.fault = reason
            return
        self.fault = ""
        for entry in entries:
            self._on_entry(entry)

    def _append(self, changes: Sequence[Change]) -> list[JournalEntry]:
        with self._opened() as file:
            end, last = _end_of(file)
            previous = last or _last_hash_of(_older(self.path, 1))
            at = rfc3339(self._now())
            entries = []
            for one in changes:
                entry = JournalEntry(
                    at, one.kind, one.by, one.subject, one.before, one.after, previous
                )
                previous = entry.hash
                entries.append(entry)
            data = b"".join(entry.line() for entry in entries)
            os.ftruncate(file, end)  # a torn line: its change was never confirmed
            if os.pwrite(file, data, end) != len(data):
                os.ftruncate(file, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
            if end + len(data) >= self._max_bytes:
                _rotate(self.path)
            return entries

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The file, locked against other processes. Raises OSError and RefusedError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        while True:
            created = not self.path.exists()
            file = os.open(self.path, flags, 0o640)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise RefusedError("it is no regular file")
                fcntl.flock(file, fcntl.LOCK_EX)
                if not _is_still(self.path, file):
                    continue  # another process has begun a new file meanwhile
                if created:
                    _sync_folder(self.path.parent)
                yield file
                return
            finally:
                os.close(file)


def journal_files(path: Path) -> list[Path]:
    """The files of a journal that exist, the oldest first."""
    files = [_older(path, number) for number in range(_FILES, 0, -1)] + [path]
    return [file for file in files if file.exists()]


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The entries, the oldest first; lines that are no entry are left out. Raises OSError."""
    for file in journal_files(path):
        for line in read_regular(file).splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("schema") == SCHEMA:
                    yield entry


def verify_journal(path: Path) -> ChainReport:
    """Follows the chain through all files. Raises OSError when one cannot be read."""
    entries, first, previous = 0, "", None
    for file in journal_files(path):
        for number, line in enumerate(read_regular(file).splitlines(keepends=True), 1):
            place = f"{file}:{number}"
            entry = _entry_in(line)
            if entry is None:
                return ChainReport(entries, first, previous or START, f"{place}: is no entry")
            if previous is None:  # the first file may follow one that was removed
                first = str(entry.get("at"))
            elif entry["previous"] != previous:
                problem = f"{place}: does not follow the line before it"
                return ChainReport(entries, first, previous, problem)
            entries += 1
            previous = hashlib.sha256(line).hexdigest()
    return ChainReport(entries, first, previous or START)


def _entry_in(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    whole = line.endswith(b"\n") and isinstance(entry, dict) and "previous" in entry
    return entry if whole and entry.get("schema") == SCHEMA else None


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _rotate(path: Path) -> None:
    """Makes room for a new file; the oldest one goes."""
    for number in range(_FILES - 1, 0, -1):
        if _older(path, number).exists():
            _older(path, number).replace(_older(path, number + 1))
    path.replace(_older(path, 1))
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _is_still(path: Path, file: int) -> bool:
    try:
        found, own = path.stat(), os.fstat(file)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)


def _end_of(file: int) -> tuple[int, str | None]:
    """Where the last whole line ends, in bytes, and its hash; None: there is no line."""
    size = os.fstat(file).st_size
    begin = max(0, size - _TAIL_BYTES)
    tail = os.pread(file, size - begin, begin)
    whole = tail[: tail.rfind(b"\n") + 1]
    return begin + len(whole), _last_hash(whole) if whole else None


def _last_hash(content: bytes) -> str:
    line = content[content.rfind(b"\n", 0, -1) + 1 :]
    return hashlib.sha256(line).hexdigest()


def _last_hash_of(file: Path) -> str:
    """The hash that the chain goes on with; START when there is no file before."""
    try:
        content = read_regular(file)
    except FileNotFoundError:
        return START
    whole = content[: content.rfind(b"\n") + 1]
    return _last_hash(whole) if whole else START

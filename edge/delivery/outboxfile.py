"""The door to SQLite: connections, and its errors as sentences with a kind."""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edge.errors import EdgeInspectError

Kind = Literal["refused", "damaged", "hopeless"]


class OutboxError(EdgeInspectError):
    """The outbox cannot be opened, read or written; the sentence names the file. `kind`: the disk
    `refused` and may think better of it; the file is `damaged`; or only a person can mend it."""

    def __init__(self, text: str, kind: Kind = "hopeless") -> None:
        super().__init__(text)
        self.kind: Kind = kind


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may be opened in one thread and used in one other."""
    return sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)


def wal_of(path: Path) -> Path:
    """SQLite's log beside a database."""
    return path.with_name(f"{path.name}-wal")


def refuse_strangers(path: Path) -> None:
    """Raises OutboxError when something that is no file is in the way."""
    if path.exists() and not path.is_file():
        raise OutboxError(f"{path}: the outbox must be a file, and this is none; see outbox.path")


def used_pages(db: sqlite3.Connection) -> int:
    """Pages of the file that hold something."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return int(pages) - int(free)


@contextlib.contextmanager
def naming(path: Path, what: str) -> Iterator[None]:
    """SQLite's and the system's errors as OutboxError: one sentence that names the file."""
    try:
        yield
    except (OSError, sqlite3.Error, ValueError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        kind = _kind(error, path)
        mend = {
            "damaged": "it is set aside, and what can be read is saved",
            "refused": "check the free space, and whether the disk is read-only or broken",
            "hopeless": "check outbox.path and its owner",
        }[kind]
        raise OutboxError(f"{path}: the outbox cannot be {what} ({why}); {mend}", kind) from error


_HOPELESS = frozenset(
    {errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.EPERM}
)


# what SQLite says when a table that must be there is not, or one must not, or a byte of the header
# is another
_DAMAGED = ("no such", "malformed", "already exists", "unsupported file format")
_WRITTEN_BY = 18  # where the header says which SQLite may write: 1, or 2 with a log


def _kind(error: Exception, path: Path) -> Kind:
    if isinstance(error, OSError):
        return "hopeless" if error.errno in _HOPELESS else "refused"
    if isinstance(error, sqlite3.OperationalError):
        text = str(error)
        if any(word in text for word in _DAMAGED):
            return "damaged"
        return "damaged" if "readonly" in text and _says_not_to_write(path) else "refused"
    if isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError):
        return "refused"
    return "damaged"


def _says_not_to_write(path: Path) -> bool:
    """Whether it is the file itself, not the disk, that SQLite takes for one to be read only.

    Closing it lets go of this process's locks on it; what keeps others away is that of `Numbers`.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(_WRITTEN_BY)
        return file.read(1) not in (b"", b"\1", b"\2")
    return False

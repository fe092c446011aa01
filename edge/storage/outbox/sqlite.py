"""Opens SQLite connections. Turns errors of SQLite and the system into sentences with a kind."""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edge.core.errors import EdgeInspectError

Kind = Literal["refused", "damaged", "permanent"]
BUSY_MS = 30_000  # how long a statement waits for another connection


class OutboxError(EdgeInspectError):
    """The outbox cannot be opened, read or written; the sentence names the file.

    kind: `refused`: a retry may succeed; `damaged`: the file's content is wrong; `permanent`: only
        a person can fix it.
    """

    def __init__(self, text: str, kind: Kind = "permanent") -> None:
        super().__init__(text)
        self.kind: Kind = kind


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may be opened in one thread and used in one other."""
    return sqlite3.connect(
        path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
    )


def wal_of(path: Path) -> Path:
    """SQLite's write-ahead log beside a database."""
    return path.with_name(f"{path.name}-wal")


def size_of(path: Path) -> int:
    """Bytes of a file; 0: there is none; 1: unknown, because the folder cannot be read."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError:
        return 1


def use_write_ahead_log(db: sqlite3.Connection, pages: int, page_bytes: int) -> None:
    """Makes commits survive a power cut, and keeps SQLite's log at about `pages` pages."""
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA wal_autocheckpoint={pages}")
    db.execute(f"PRAGMA journal_size_limit={pages * page_bytes}")


def require_intact(db: sqlite3.Connection) -> None:
    """Checks the structure of all pages. Raises sqlite3.DatabaseError."""
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One commit; after an exception nothing has changed."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


def identity_of(path: Path) -> tuple[int, int]:
    """Device and inode: another file under the same name has others. Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino


def is_same_file(path: Path, identity: tuple[int, int]) -> bool:
    """Whether the file under this name is still the one with this identity."""
    try:
        return identity_of(path) == identity
    except OSError:
        return False


def require_regular_file(path: Path) -> None:
    """Raises OutboxError when the path is a folder, a device or another special file."""
    if path.exists() and not path.is_file():
        raise OutboxError(f"{path}: the outbox must be a regular file; choose another outbox.path")


def used_pages(db: sqlite3.Connection) -> int:
    """Pages of the file that are in use."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return int(pages) - int(free)


@contextlib.contextmanager
def translate_errors(path: Path, what: str) -> Iterator[None]:
    """Turns errors of SQLite and the system into an OutboxError: a sentence that names the file."""
    try:
        yield
    except (OSError, sqlite3.Error, ValueError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        kind = kind_of(error, path)
        remedy = {
            "damaged": "it is set aside, and its readable verdicts are saved",
            "refused": "check the free space, and whether the disk is read-only or broken",
            "permanent": "check outbox.path and its owner",
        }[kind]
        raise OutboxError(f"{path}: the outbox cannot be {what} ({why}); {remedy}", kind) from error


_PERMANENT = frozenset(
    {errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.EPERM}
)

# SQLite's words for a missing table, an unexpected table and a wrong byte in the header
_DAMAGED = ("no such", "malformed", "already exists", "unsupported file format")
_WRITE_VERSION_AT = 18  # byte of the header: 1, or 2 with a log, lets SQLite write


def kind_of(error: Exception, path: Path) -> Kind:
    """The kind of an error of SQLite or the system at this file; see `OutboxError`."""
    if isinstance(error, OSError):
        return "permanent" if error.errno in _PERMANENT else "refused"
    if isinstance(error, sqlite3.OperationalError):
        text = str(error)
        if any(word in text for word in _DAMAGED):
            return "damaged"
        return "damaged" if "readonly" in text and _says_not_to_write(path) else "refused"
    if isinstance(error, sqlite3.InterfaceError | sqlite3.ProgrammingError):
        return "refused"
    return "damaged"


def _says_not_to_write(path: Path) -> bool:
    """Whether the header, and not the disk, makes SQLite treat the file as read-only.

    Closing the file here releases this process's SQLite locks on it. That is safe, because the lock
    of `SequenceAllocator` keeps other daemons away.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(_WRITE_VERSION_AT)
        return file.read(1) not in (b"", b"\1", b"\2")
    return False

"""The tables of the history's file, and whether a file is one.

`verdict.key` is the verdict's number plus `context.base`. The base rises when the outbox counts
from 1 again, so that a later verdict always has a higher key.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edge.storage.history.records import HistoryError
from edge.storage.outbox.sqlite import Kind, kind_of, wal_of

SCHEMA = 1
APPLICATION_ID = 0x0ED6F000  # plus the schema number, which has 12 bits
PAGE = 1024  # bytes; a commit rewrites a handful of pages, so small ones wear the SD card less
CODES = {"pass": 0, "fail": 1, "review": 2, "error": 3}
_REMEDIES: dict[Kind, str] = {
    "damaged": "it is set aside, and its readable verdicts are saved",
    "refused": "check the free space, and whether the disk is read-only or broken",
    "permanent": "check its folder and its owner",
}
_HEAD = 65_536
_MAGIC = b"SQLite format 3\0"
_OUR_TABLE = b"CREATE TABLE verdict ("

# series: the keys of the minute aggregates. context: the template of bodies that differ only
# in their values. span: the keys of the verdicts that were captured or made in a minute; it stands
# for an index on time, which would take 15 bytes a verdict.
_TABLES = f"""
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    camera TEXT NOT NULL,
    recipe INTEGER,
    verdict TEXT NOT NULL,
    label TEXT,
    model TEXT,
    pass_sample REAL NOT NULL
);
CREATE TABLE context (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    base INTEGER NOT NULL,
    template BLOB NOT NULL
);
{_OUR_TABLE.decode()}
    key INTEGER PRIMARY KEY,
    context INTEGER NOT NULL,
    captured_ms INTEGER NOT NULL,
    code INTEGER NOT NULL,
    doubtful INTEGER NOT NULL,
    part TEXT,
    texts TEXT,
    numbers BLOB NOT NULL
);
CREATE INDEX not_pass ON verdict (code) WHERE code > 0;
CREATE INDEX of_part ON verdict (part) WHERE part IS NOT NULL;
CREATE TABLE span (
    minute INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL
);
CREATE TABLE minute (
    minute INTEGER NOT NULL,
    series INTEGER NOT NULL,
    count INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    latency_max_us INTEGER NOT NULL,
    scores BLOB NOT NULL,
    PRIMARY KEY (minute, series)
) WITHOUT ROWID;
"""


def code_of(verdict: str) -> int:
    """The number of a verdict in the file."""
    return CODES.get(verdict, len(CODES))


def create(db: sqlite3.Connection) -> None:
    """Creates the tables. Belongs into one transaction."""
    for statement in filter(str.strip, _TABLES.split(";")):
        db.execute(statement)
    db.execute(f"PRAGMA user_version={SCHEMA}")
    db.execute(f"PRAGMA application_id={APPLICATION_ID + SCHEMA}")


def require_schema(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has its tables. Raises HistoryError for a file of a newer edge-inspect, and
    sqlite3.DatabaseError for a number that no version wrote."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    if version == 0 and application_id == 0:
        return False
    if application_id != APPLICATION_ID + version:
        raise sqlite3.DatabaseError(f"malformed: schema {version}")
    if version > SCHEMA:
        raise HistoryError(
            f"{path}: written by a newer edge-inspect (history schema {version}); it stays as it "
            "is, and no verdict is remembered: install that version, or move the file away"
        )
    return True


def require_ours(path: Path) -> None:
    """Raises HistoryError when the file belongs to another program. Changes nothing."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise HistoryError(f"{path}: must be a regular file; move it away")
    head = _start_of(path)
    application_id = int.from_bytes(head[68:72], "big")
    ours = application_id & ~0xFFF == APPLICATION_ID or _OUR_TABLE in head
    if not any(head) or ours or _OUR_TABLE in _start_of(wal_of(path)):
        return
    unmarked = not application_id and not any(head[60:64])
    if head.startswith(_MAGIC) and unmarked and b"CREATE " not in head:
        return  # of ours, before its first commit
    raise HistoryError(
        f"{path}: is no history of edge-inspect; it stays as it is, and no verdict is remembered: "
        "move it away"
    )


@contextlib.contextmanager
def translate_errors(path: Path, what: str) -> Iterator[None]:
    """Turns errors of SQLite and the system into a HistoryError: a sentence with the fix."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        kind = kind_of(error, path)
        remedy = _REMEDIES[kind]
        raise HistoryError(
            f"{path}: the history cannot be {what} ({why}); {remedy}", kind
        ) from error


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except FileNotFoundError:
        return b""

"""Opens the history's file for reading, and restores bodies from its rows."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.storage.history.packing import PackedBody, restore
from edge.storage.history.records import HistoryBody
from edge.storage.outbox.sqlite import wal_of

_BUSY_S = 5.0
_COLUMNS = "key, context, captured_ms, doubtful, part, texts, numbers"
ROWS = f"SELECT {_COLUMNS} FROM verdict WHERE "  # noqa: S608  fixed words only

Stored = tuple[int, int, int, int, str | None, str | None, bytes]  # the columns of ROWS
NO_CONTEXT = (0, b"", 0.0)  # restores nothing


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Opened for reading. Whoever may not write the folder can still read a file without a log.
    Raises sqlite3.Error."""
    uri = path.absolute().as_uri()
    db = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        db.close()
        if not isinstance(error, sqlite3.OperationalError) or wal_of(path).exists():
            raise
        return sqlite3.connect(f"{uri}?immutable=1", uri=True, isolation_level=None)
    return db


def restored(db: sqlite3.Connection, found: Sequence[Stored]) -> Iterator[HistoryBody | None]:
    """The body of each row; None: the file is damaged there."""
    contexts: dict[int, tuple[int, bytes, float]] = {}
    for row in found:
        key, number = row[0], row[1]
        if number not in contexts:
            contexts[number] = _context(db, number)
        base, template, rate = contexts[number]
        try:
            body = restore(packed_of(row, template, key - base))
        except (ValueError, TypeError, AttributeError):
            yield None
        else:
            yield HistoryBody(body, rate, base)


def packed_of(row: Stored, template: bytes = b"", seq: int = 0) -> PackedBody:
    """A row as the body was packed."""
    return PackedBody(template, seq, row[2], row[4], row[5], row[6])


def _context(db: sqlite3.Connection, number: int) -> tuple[int, bytes, float]:
    """Base, template and pass_sample."""
    found = db.execute(
        "SELECT base, template, pass_sample FROM context JOIN series ON series = series.id "
        "WHERE context.id = ?",
        (number,),
    ).fetchone()
    return NO_CONTEXT if found is None else found

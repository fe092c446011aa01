"""Statements on the rows of the outbox's file, many rows in one."""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence

from edge.delivery.records import OutboxRow

_AT_ONCE = 16  # rows in a statement


def eldest(db: sqlite3.Connection) -> tuple[int, float] | None:
    """Number and time of the first row."""
    found = db.execute("SELECT seq, stored_at FROM outbox ORDER BY seq LIMIT 1").fetchone()
    return None if found is None else (int(found[0]), float(found[1]))


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers without a gap: verdicts are acknowledged nearly in
    their order, and one statement for many costs little more than one for one."""
    first = last = -1
    for number in sorted(numbers):
        if number > last + 1 or first < 0:
            if first >= 0:
                yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last


def insert(db: sqlite3.Connection, rows: Sequence[OutboxRow]) -> tuple[int, int]:
    """How many rows were added, and how many not because their number stood for another."""
    if not rows:
        return 0, 0
    added = 0
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        values = [v for r in some for v in (r.seq, r.stored_at, zlib.crc32(r.body), r.body)]
        places = ", ".join(["(?, ?, NULL, ?, ?)"] * len(some))
        # each step of SQLite's gives the processor to other threads, and must get it back
        new = f"INSERT OR IGNORE INTO outbox VALUES {places}"  # noqa: S608  question marks alone
        added += db.execute(new, values).rowcount
    if added == len(rows):
        return added, 0
    unlike = 0
    for row in rows:  # a commit that failed may be there all the same
        found = db.execute("SELECT body FROM outbox WHERE seq=?", (row.seq,)).fetchone()
        unlike += found is None or found[0] != row.body
    return added, unlike

"""Sets a damaged history aside, and saves from it what can be read.

A new file takes its place at once. The damaged one is called `history.db.salvage` until all is
saved, so that a start after a kill goes on. Then it becomes `history.db.damaged-…`; only the newest
of these is kept.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edge.storage.history.aggregates import Sum
from edge.storage.history.contexts import Series
from edge.storage.history.database import HistoryDatabase
from edge.storage.history.reading import ROWS, Stored, open_for_reading, restored
from edge.storage.history.schema import translate_errors
from edge.storage.history.scores import read_scores
from edge.storage.outbox.recovery.quarantine import set_log_aside, sync_folder, unused_name

_STEP = 500  # rows
_MINUTE_MS = 60_000
_HIGHEST = 2**62
_UNREADABLE = (sqlite3.Error, OSError, ValueError, TypeError, OverflowError)


def salvage_path(path: Path) -> Path:
    """The name of a damaged history whose verdicts are not saved yet."""
    return path.with_name(f"{path.name}.salvage")


def set_aside(path: Path, now: float) -> None:
    """Renames a damaged file together with its log. Raises HistoryError."""
    if salvage_path(path).exists():  # the file that was to hold its verdicts is damaged as well
        finish_salvage(path, now)
    with translate_errors(path, "set aside"):
        path.rename(salvage_path(path))
        set_log_aside(path, salvage_path(path))
        sync_folder(path.parent)


def finish_salvage(path: Path, now: float) -> str:
    """Gives the damaged file its last name, and deletes the ones before. Returns the name. Raises
    HistoryError."""
    with translate_errors(path, "set aside"):
        aside = unused_name(path, now)
        salvage_path(path).rename(aside)
        set_log_aside(salvage_path(path), aside)
        for former in path.parent.glob(f"{path.name}.damaged-*"):
            if not former.name.startswith(aside.name):
                former.unlink(missing_ok=True)
        sync_folder(path.parent)
    return aside.name


def highest_base(path: Path) -> int:
    """The highest base in a damaged file; 0 when it cannot be read."""
    with contextlib.suppress(*_UNREADABLE), contextlib.closing(open_for_reading(path)) as db:
        return int(db.execute("SELECT coalesce(max(base), 0) FROM context").fetchone()[0])
    return 0


def salvage(path: Path, into: HistoryDatabase) -> Iterator[int]:
    """Saves the verdicts and aggregates of a damaged file in steps; yields the number of each.

    The minute aggregates from its oldest verdict on are counted again. Raises HistoryError when
    `into` cannot be written, and nothing else.
    """
    try:
        db = open_for_reading(path)
    except _UNREADABLE:
        return
    with contextlib.closing(db):
        oldest = None
        with contextlib.suppress(*_UNREADABLE):
            found = db.execute("SELECT captured_ms FROM verdict ORDER BY key LIMIT 1").fetchone()
            oldest = None if found is None else found[0] // _MINUTE_MS
        for minutes in _minutes(db, oldest):
            into.add_minutes(minutes)
            yield 0
        reached = 0
        for rows in _upwards(db):
            reached = rows[-1][0]
            yield _save(db, rows, into, counts=oldest is not None)
        for rows in _downwards(db, reached):
            yield _save(db, rows, into, counts=oldest is not None)


def _save(
    db: sqlite3.Connection, rows: list[Stored], into: HistoryDatabase, *, counts: bool
) -> int:
    bodies = []
    with contextlib.suppress(*_UNREADABLE):
        for body in restored(db, rows):
            if body is not None:
                bodies.append(body)
    return into.add_salvaged(bodies, counts=counts) if bodies else 0


def _upwards(db: sqlite3.Connection) -> Iterator[list[Stored]]:
    """Rows from the lowest key on, as far as they can be read."""
    after = -1
    with contextlib.suppress(*_UNREADABLE):
        while rows := _fetch(db, "key > ? ORDER BY key", after):
            yield rows
            after = rows[-1][0]


def _downwards(db: sqlite3.Connection, reached: int) -> Iterator[list[Stored]]:
    """Rows from the highest key down to `reached`, as far as they can be read."""
    before = _HIGHEST
    with contextlib.suppress(*_UNREADABLE):
        while before > reached + 1 and (rows := _fetch(db, "key < ? ORDER BY key DESC", before)):
            yield [row for row in rows if row[0] > reached]
            before = rows[-1][0]


def _fetch(db: sqlite3.Connection, where: str, bound: int) -> list[Stored]:
    """At most `_STEP` rows; those before the first one that cannot be read."""
    rows: list[Stored] = []
    try:
        rows.extend(db.execute(f"{ROWS} {where} LIMIT ?", (bound, _STEP)))
    except _UNREADABLE:
        if not rows:
            raise
    return rows


def _minutes(db: sqlite3.Connection, before: int | None) -> Iterator[list[tuple[int, Series, Sum]]]:
    """The minute aggregates before a minute; None: all."""
    with contextlib.suppress(*_UNREADABLE):
        found = db.execute(
            "SELECT minute, camera, recipe, verdict, label, model, pass_sample, count, latency_us, "
            "latency_max_us, scores FROM minute JOIN series ON series = id WHERE minute < ? "
            "ORDER BY minute",
            (_HIGHEST if before is None else before,),
        )
        while rows := found.fetchmany(_STEP):
            yield [
                (row[0], Series(*row[1:7]), Sum(row[7], row[8], row[9], read_scores(row[10])))
                for row in rows
            ]

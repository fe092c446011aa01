"""Sets a damaged history aside, and saves its readable verdicts.

A new file takes its place at once. The damaged one is called `history.db.salvage` until all is
saved, so that a start after a kill goes on. Then it becomes `history.db.damaged-…`; only the newest
of these is kept.
"""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge.storage.history.aggregates import Sum
from edge.storage.history.carve import Row, rows
from edge.storage.history.contexts import Series
from edge.storage.history.database import HistoryDatabase
from edge.storage.history.packing import restore
from edge.storage.history.reading import NO_CONTEXT, open_for_reading, packed_of
from edge.storage.history.records import HistoryBody
from edge.storage.history.schema import translate_errors
from edge.storage.history.scores import read_scores
from edge.storage.outbox.recovery.quarantine import set_log_aside, sync_folder, unused_name

_STEP = 500  # rows
_VERDICT_COLUMNS, _CONTEXT_COLUMNS, _SERIES_COLUMNS = 8, 4, 7  # schema.py
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


def salvage_verdicts(path: Path, into: HistoryDatabase) -> Iterator[int]:
    """Saves the verdicts of a damaged file in steps, and counts them again; yields the number of
    each step. Raises HistoryError when `into` cannot be written, and nothing else."""
    contexts = _contexts(path)
    bodies: list[HistoryBody] = []
    for page in rows(path, _VERDICT_COLUMNS):
        bodies += filter(None, (_body(row, contexts) for row in page))
        if len(bodies) >= _STEP:
            yield into.add_late(bodies)
            bodies = []
    yield into.add_late(bodies)


def salvage_minutes(path: Path, into: HistoryDatabase) -> Iterator[int]:
    """Copies the aggregates of minutes without a verdict, as far as SQLite reads them; yields 0
    after each step. Raises as `salvage_verdicts`."""
    for minutes in _minutes(path):
        into.add_minutes(minutes)
        yield 0


def _contexts(path: Path) -> dict[int, tuple[int, bytes, float]]:
    """Base, template and pass_sample of each context."""
    found: dict[int, tuple[int, bytes, float]] = {}
    for page in rows(path, _CONTEXT_COLUMNS):
        for number, (_, series, base, template) in page:
            if isinstance(base, int) and isinstance(template, bytes):
                found.setdefault(number, (base, template, series))
    rates: dict[object, float] = {}
    for page in rows(path, _SERIES_COLUMNS):
        for number, values in page:
            if isinstance(values[-1], int | float):
                rates[number] = float(values[-1])
    return {n: (base, template, rates.get(s, 0.0)) for n, (base, template, s) in found.items()}


def _body(row: Row, contexts: Mapping[int, tuple[int, bytes, float]]) -> HistoryBody | None:
    """The verdict in a row; None: it is none, or damaged."""
    key, (_, context, captured_ms, _, doubtful, part, texts, numbers) = row
    base, template, rate = contexts.get(context, NO_CONTEXT)
    stored = key, context, captured_ms, doubtful, part, texts, numbers
    with contextlib.suppress(*_UNREADABLE, AttributeError, KeyError):
        return HistoryBody(restore(packed_of(stored, template, key - base)), rate, base)
    return None


def _minutes(path: Path) -> Iterator[list[tuple[int, Series, Sum]]]:
    """The minute aggregates, up to the first that cannot be read."""
    with contextlib.suppress(*_UNREADABLE), contextlib.closing(open_for_reading(path)) as db:
        found = db.execute(
            "SELECT minute, camera, recipe, verdict, label, model, pass_sample, count, latency_us, "
            "latency_max_us, scores FROM minute JOIN series ON series = id ORDER BY minute"
        )
        while some := found.fetchmany(_STEP):
            yield [
                (
                    row[0],
                    Series(*row[1:7]),
                    Sum(row[7], row[8], row[9], Counter(read_scores(row[10]))),
                )
                for row in some
            ]

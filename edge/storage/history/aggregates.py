"""The minute aggregates: how many verdicts of each series a minute had, their scores and latency.

They are kept for two years, as long as they take at most half of the budget. The oldest go first.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass, field

from edge.storage.history.scores import bin_of, read_scores, write_scores

_KEPT_MINUTES = 2 * 365 * 1440
_BYTES = 48  # a minute of a series with its share of the pages, measured: docs/performance.md
_DROPPED = 500  # minutes in one commit
_INSERT = "INSERT OR REPLACE INTO minute VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT count, latency_us, latency_max_us, scores FROM minute WHERE minute=? AND series=?"


@dataclass(slots=True)
class Sum:
    """A minute of a series. Latencies from capture to verdict, in microseconds."""

    count: int = 0
    latency_us: int = 0
    latency_max_us: int = 0
    scores: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Sum") -> None:
        """Adds another sum."""
        self.count += other.count
        self.latency_us += other.latency_us
        self.latency_max_us = max(self.latency_max_us, other.latency_max_us)
        self.scores.update(other.scores)


class Aggregates:
    """Collects the sums of one commit, for the writing connection."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, int], Sum] = {}
        self._rows = 0

    def open(self, db: sqlite3.Connection) -> None:
        """Counts the rows in the file."""
        (self._rows,) = db.execute("SELECT count(*) FROM minute").fetchone()

    def count(self, minute: int, series: int, score: int | None, latency_us: int) -> None:
        """One verdict; the score in millionths."""
        scores = Counter[int]() if score is None else Counter({bin_of(score): 1})
        self.add(minute, series, Sum(1, latency_us, latency_us, scores))

    def add(self, minute: int, series: int, one: Sum) -> None:
        """A sum."""
        self._sums.setdefault((minute, series), Sum()).add(one)

    def write(self, db: sqlite3.Connection, *, replace: bool = True) -> None:
        """Adds the collected sums to the file. `replace`: False leaves rows that exist."""
        for (minute, series), one in self._sums.items():
            found = db.execute(_SELECT, (minute, series)).fetchone()
            if found is None:
                self._rows += 1
            elif not replace:
                continue
            else:
                one.add(Sum(found[0], found[1], found[2], Counter(read_scores(found[3]))))
            values = one.count, one.latency_us, one.latency_max_us, write_scores(one.scores)
            db.execute(_INSERT, (minute, series, *values))
        self._sums.clear()

    def clear(self) -> None:
        """Forgets the collected sums."""
        self._sums.clear()

    def drop_old(self, db: sqlite3.Connection, now: float | None, max_bytes: int) -> None:
        """Drops some of the oldest minutes when they are too old or take more than half of the
        budget. `now`: seconds since the epoch; None: unknown."""
        first = db.execute("SELECT min(minute) FROM minute").fetchone()[0]
        if first is None:
            return
        oldest = -1 if now is None else int(now // 60) - _KEPT_MINUTES
        if first < oldest:
            self._drop(db, min(oldest, first + _DROPPED))
        elif self._rows * _BYTES > max_bytes // 2:
            self.drop_some(db)

    def drop_some(self, db: sqlite3.Connection) -> bool:
        """Drops some of the oldest minutes. False: there are none."""
        if not self._rows:
            return False
        some = "SELECT max(minute) FROM (SELECT minute FROM minute ORDER BY minute LIMIT ?)"
        (last,) = db.execute(some, (_DROPPED,)).fetchone()
        self._drop(db, last + 1)
        return True

    def _drop(self, db: sqlite3.Connection, before: int) -> None:
        self._rows -= db.execute("DELETE FROM minute WHERE minute < ?", (before,)).rowcount

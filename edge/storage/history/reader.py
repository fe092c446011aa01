"""Reads the history, also while the daemon writes it, and in any thread.

Each question opens the file and reads it page by page, so that a slow reader keeps no transaction
open and SQLite's log can be emptied.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edge.storage.history.packing import ID_AT, ID_BYTES, WHOLE, id_parts
from edge.storage.history.reading import ROWS, Stored, open_for_reading, packed_of, restored
from edge.storage.history.records import BINS, HistoryError, HistoryQuery, HistoryRow, TrendPoint
from edge.storage.history.schema import code_of, require_ours, require_schema, translate_errors
from edge.storage.history.scores import read_scores

_PAGE_ROWS = 500
_MINUTE_MS = 60_000
_MINUTE_S = 60
_PREFIX_DIGITS = 8


class HistoryReader:
    """`damaged`: verdicts that were left out, because the file is damaged there."""

    def __init__(
        self, path: Path, on_damage: Callable[[HistoryError], None] = lambda _error: None
    ) -> None:
        """Opens nothing yet. A missing file is an empty history.

        on_damage: called when the file proves damaged; see `HistoryWriter.report_damage`.
        """
        self.damaged = 0
        self._path, self._on_damage = path, on_damage

    def verdicts(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """The newest first. Raises HistoryError."""
        left, before = query.limit, query.before_seq
        while left is None or left > 0:
            size = _PAGE_ROWS if left is None else min(_PAGE_ROWS, left)
            with self._reading() as db:
                found = [] if db is None else _select(db, query, before, size)
                rows = [] if db is None else list(self._restored(db, found))
            yield from rows
            if len(found) < size:
                return
            before = found[-1][0]
            left = None if left is None else left - len(rows)

    def by_id(self, name: str) -> HistoryRow | None:
        """The verdict with this id; None: it is not remembered. Raises HistoryError."""
        with self._reading() as db:
            if db is None:
                return None
            try:
                made_ms, tail = id_parts(name)
            except ValueError:  # a body with an id of another form is kept whole
                of_whole = "context IN (SELECT id FROM context WHERE template=?)"
                found = db.execute(f"{ROWS} {of_whole}", (WHOLE,)).fetchall()
            else:
                found = _made_in(db, made_ms, made_ms)
                found = [row for row in found if _tail(row) == tail]
            rows = self._restored(db, found)
            return next((row for row in rows if row.body["id"] == name), None)

    def by_prefix(self, prefix: str, limit: int = 2) -> list[HistoryRow]:
        """Verdicts whose ids begin so, which takes at least eight digits. Raises HistoryError."""
        digits = prefix.replace("-", "").lower()
        if len(digits) < _PREFIX_DIGITS or set(digits) - set("0123456789abcdef"):
            return []
        first, last = (int(digits[:12].ljust(12, fill), 16) for fill in "0f")
        with self._reading() as db:
            if db is None:
                return []
            tail = digits[12:]
            found = [row for row in _made_in(db, first, last) if _tail(row).hex().startswith(tail)]
            rows = self._restored(db, found)
            fit = (row for row in rows if row.body["id"].replace("-", "").startswith(digits))
            return [row for row, _ in zip(fit, range(limit))]

    def trend(
        self, since: float, until: float, bucket_s: float = 3600.0, *, camera: str | None = None
    ) -> list[TrendPoint]:
        """The minute aggregates, added up in spans of `bucket_s` seconds, the oldest first. They
        are kept longer than verdicts. Raises HistoryError.

        since, until: seconds since the epoch; both ends are rounded to whole minutes.
        """
        step = max(1, round(bucket_s / _MINUTE_S))
        start = int(since // _MINUTE_S)
        with self._reading() as db:
            found = (
                []
                if db is None
                else db.execute(
                    "SELECT (minute - ?) / ?, camera, recipe, verdict, label, count, latency_us, "
                    "latency_max_us, scores FROM minute JOIN series ON series = id "
                    "WHERE minute >= ? AND minute < ? AND (? IS NULL OR camera = ?) "
                    "ORDER BY minute",
                    (start, step, start, -(-until // _MINUTE_S), camera, camera),
                ).fetchall()
            )
        sums: dict[tuple[Any, ...], _Sum] = {}
        for *kind, count, latency, longest, scores in found:
            sums.setdefault(tuple(kind), _Sum()).add(count, latency, longest, scores)
        return [
            one.point((start + step * kind[0]) * _MINUTE_S, *kind[1:]) for kind, one in sums.items()
        ]

    def counts(self, since: float, until: float) -> list[TrendPoint]:
        """The verdicts of the whole time by camera, recipe, verdict and label, from the minute
        aggregates. Raises HistoryError."""
        return self.trend(since, until, max(_MINUTE_S, until - since + 2 * _MINUTE_S))

    def passes_by_sample_rate(
        self, since: float, until: float, model_sha256: str | None = None
    ) -> dict[float, int]:
        """How many `pass` verdicts were made at each rate of `archive.pass_sample`, from the minute
        aggregates. Raises HistoryError.

        model_sha256: of this model only; None: of all.
        """
        with self._reading() as db:
            found = (
                []
                if db is None
                else db.execute(
                    "SELECT pass_sample, sum(count) FROM minute JOIN series ON series = id "
                    "WHERE minute >= ? AND minute < ? AND verdict = 'pass' "
                    "AND (? IS NULL OR model = ?) GROUP BY pass_sample",
                    (since // _MINUTE_S, -(-until // _MINUTE_S), model_sha256, model_sha256),
                ).fetchall()
            )
        return {float(rate): int(count) for rate, count in found}

    def counts_by_verdict(
        self, since: float, until: float, model_sha256: str | None = None
    ) -> dict[str, int]:
        """How many verdicts of each kind there were, from the minute aggregates. Arguments as in
        `passes_by_sample_rate`. Raises HistoryError."""
        with self._reading() as db:
            found = (
                []
                if db is None
                else db.execute(
                    "SELECT verdict, sum(count) FROM minute JOIN series ON series = id "
                    "WHERE minute >= ? AND minute < ? AND (? IS NULL OR model = ?) "
                    "GROUP BY verdict",
                    (since // _MINUTE_S, -(-until // _MINUTE_S), model_sha256, model_sha256),
                ).fetchall()
            )
        return {str(verdict): int(count) for verdict, count in found}

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        try:
            with translate_errors(self._path, "read"):
                if not self._path.exists():
                    yield None
                    return
                require_ours(self._path)
                with contextlib.closing(open_for_reading(self._path)) as db:
                    yield db if require_schema(db, self._path) else None
        except HistoryError as error:
            if error.kind == "damaged":
                self._on_damage(error)
            raise

    def _restored(self, db: sqlite3.Connection, found: Sequence[Stored]) -> Iterator[HistoryRow]:
        for row, one in zip(found, restored(db, found)):
            if one is None:
                self.damaged += 1
            else:
                made_ms = packed_of(row).made_ms
                yield HistoryRow(
                    row[0], json.loads(one.body), made_ms, bool(row[3]), one.pass_sample
                )


class _Sum:
    """Minutes of one kind, added up."""

    def __init__(self) -> None:
        self._count = self._latency = self._longest = 0
        self._scores = [0] * BINS

    def add(self, count: int, latency_us: int, longest_us: int, scores: bytes) -> None:
        """One minute."""
        self._count += count
        self._latency += latency_us
        self._longest = max(self._longest, longest_us)
        for place, number in read_scores(scores).items():
            self._scores[place] += number

    def point(
        self, at: float, camera: str, recipe: int | None, verdict: str, label: str | None
    ) -> TrendPoint:
        """All of them."""
        scores = tuple(self._scores)
        mean = self._latency / self._count / 1000 if self._count else 0.0
        return TrendPoint(
            float(at),
            camera,
            recipe,
            verdict,
            label,
            self._count,
            scores,
            mean,
            self._longest / 1000,
        )


def _select(
    db: sqlite3.Connection, query: HistoryQuery, before: int | None, limit: int
) -> list[Stored]:
    terms: list[str] = ["1"]
    values: list[Any] = []
    if before is not None:
        terms, values = [*terms, "key < ?"], [*values, before]
    if query.since is not None or query.until is not None:
        first_ms, end_ms = _ms(query.since, 0), _ms(query.until, 2**62)
        low, high = _keys(db, first_ms, end_ms)
        terms += ["key BETWEEN ? AND ?", "captured_ms >= ?", "captured_ms < ?"]
        values += [low, high, first_ms, end_ms]
    if query.part is not None:
        terms.append("part = ?")
        values.append(json.dumps(query.part, ensure_ascii=False)[1:-1])
    if query.verdict is not None:
        code = code_of(query.verdict)
        terms.append("code = ? AND code > 0" if code else "code = ?")  # for the index
        values.append(code)
    series = [
        (f"{name} = ?", value)
        for name, value in (
            ("camera", query.camera),
            ("verdict", query.verdict),
            ("label", query.label),
            ("recipe", query.recipe),
        )
        if value is not None
    ]
    if series:
        fit = " AND ".join(term for term, _ in series)
        terms.append(
            "context IN (SELECT context.id FROM context JOIN series ON series = series.id "  # noqa: S608  fixed words only
            f"WHERE {fit})"
        )
        values += [value for _, value in series]
    sql = f"{ROWS} {' AND '.join(terms)} ORDER BY key DESC LIMIT ?"
    return db.execute(sql, (*values, limit)).fetchall()


def _ms(seconds: float | None, otherwise: int) -> int:
    return otherwise if seconds is None else round(seconds * 1000)


def _keys(db: sqlite3.Connection, first_ms: int, last_ms: int) -> tuple[int, int]:
    """The lowest and the highest key of verdicts of this time, and perhaps of some minutes more."""
    low, high = db.execute(
        "SELECT min(first), max(last) FROM span WHERE minute BETWEEN ? AND ?",
        (first_ms // _MINUTE_MS, last_ms // _MINUTE_MS),
    ).fetchone()
    return (1, 0) if low is None else (low, high)


def _made_in(db: sqlite3.Connection, first_ms: int, last_ms: int) -> list[Stored]:
    """The verdicts whose ids were made then, the newest first."""
    found: list[Stored] = db.execute(
        f"{ROWS} key BETWEEN ? AND ? ORDER BY key DESC", _keys(db, first_ms, last_ms)
    ).fetchall()
    return [row for row in found if first_ms <= packed_of(row).made_ms <= last_ms]


def _tail(row: Stored) -> bytes:
    return row[6][ID_AT : ID_AT + ID_BYTES]

"""The tables `series` and `context`: values that thousands of verdicts share are stored once."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.storage.history.packing import WHOLE, PackedBody

_CACHED = 512
_MOST_NEW = 200.0  # templates at once, and later one for every 50 verdicts: a value that this
_ROWS_A_CONTEXT = 50  # version does not know, and that always differs, must not make each row one


class Series(NamedTuple):
    """The key by which the minute aggregates count."""

    camera: str
    recipe: int | None
    verdict: str
    label: str | None
    model: str | None
    pass_sample: float


class Context(NamedTuple):
    """A row of the table `context`."""

    id: int
    series: int
    verdict: str


class Contexts:
    """Finds and creates rows in both tables, for the writing connection."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[bytes, int, float, Series | None], Context] = {}
        self._series: dict[Series, int] = {}
        self._room = _MOST_NEW

    def clear(self) -> None:
        """After a commit that failed, new rows are not in the file."""
        self._contexts.clear()
        self._series.clear()

    def find(
        self, db: sqlite3.Connection, packed: PackedBody, body: bytes, base: int, rate: float
    ) -> Context | None:
        """The context of a body; None: there are too many, and the body is to be kept whole."""
        self._room = min(_MOST_NEW, self._room + 1 / _ROWS_A_CONTEXT)
        series = series_of(json.loads(body), rate) if packed.template == WHOLE else None
        key = packed.template, base, rate, series
        if (known := self._contexts.get(key)) is not None:
            return known
        if series is None:
            if self._room < 1:
                return None
            self._room -= 1
            series = series_of(json.loads(body), rate)
        number = self.series_id(db, series)
        given = number, base, packed.template
        found = db.execute(
            "SELECT id FROM context WHERE series=? AND base=? AND template=?", given
        ).fetchone()
        if found is None:
            insert = "INSERT INTO context (series, base, template) VALUES (?, ?, ?) RETURNING id"
            found = db.execute(insert, given).fetchone()
        if len(self._contexts) >= _CACHED:
            self._contexts.clear()
        context = self._contexts[key] = Context(int(found[0]), number, series.verdict)
        return context

    def series_id(self, db: sqlite3.Connection, series: Series) -> int:
        """The row of a series."""
        if (known := self._series.get(series)) is not None:
            return known
        found = db.execute(
            "SELECT id FROM series WHERE camera=? AND recipe IS ? AND verdict=? AND label IS ? "
            "AND model IS ? AND pass_sample=?",
            series,
        ).fetchone()
        if found is None:
            insert = (
                "INSERT INTO series (camera, recipe, verdict, label, model, pass_sample) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING id"
            )
            found = db.execute(insert, series).fetchone()
        if len(self._series) >= _CACHED:
            self._series.clear()
        number = self._series[series] = int(found[0])
        return number


def series_of(body: Mapping[str, Any], rate: float) -> Series:
    """The series of a `result` body."""
    recipe = body.get("recipe")
    label = body.get("label")
    model = body.get("model") or {}
    return Series(
        camera=str(body.get("camera", "")),
        recipe=recipe.get("number") if isinstance(recipe, Mapping) else None,
        verdict=str(body.get("verdict", "")),
        label=None if label is None else str(label),
        model=model.get("sha256") if isinstance(model, Mapping) else None,
        pass_sample=rate,
    )

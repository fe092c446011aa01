"""How often a version of a model gave each outcome in the past, out of history."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from edge.storage import HistoryQuery, HistoryRow

RATES = ("error", "pass", "review", "slow")
PAST_PARTS = 2000  # newest verdicts of the version
_SEARCHED = 20_000  # newest verdicts of all models, among which they are looked for
_STEP, _PAUSE_S = 50, 0.002  # rows between two pauses, in which inspection gets Python's lock
_SLOW_FACTOR = 2.0  # of the 95th percentile


class PastVerdicts(Protocol):
    """The history; `edge.storage.HistoryReader` is the real part."""

    def verdicts(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """The newest first. Raises HistoryError."""
        ...


@dataclass(frozen=True, slots=True)
class PastRates:
    """Verdicts of the version before. `hits` by rate; `slow_ms` None: unknown."""

    parts: int
    hits: dict[str, int]
    slow_ms: float | None

    @classmethod
    def of(cls, history: PastVerdicts, sha256: str) -> Self:
        """Of the newest verdicts with a picture. Raises EdgeInspectError."""
        return cls.among(
            [
                (row["verdict"], row["latency_ms"]["capture_to_verdict"])
                for row in _of_model(history, sha256)
            ]
        )

    @classmethod
    def among(cls, verdicts: Sequence[tuple[str, float]]) -> Self:
        """Of these outcomes, each with its milliseconds from capture to verdict."""
        times = sorted(milliseconds for _, milliseconds in verdicts)
        slow_ms = _SLOW_FACTOR * times[int(0.95 * (len(times) - 1))] if times else None
        hits = dict.fromkeys(RATES, 0)
        for outcome, milliseconds in verdicts:
            for rate in rates_of(outcome, slow=is_slow(milliseconds, slow_ms)):
                hits[rate] += 1
        return cls(len(verdicts), hits, slow_ms)


def _of_model(history: PastVerdicts, sha256: str) -> Iterator[dict[str, Any]]:
    found = 0
    for number, row in enumerate(history.verdicts(HistoryQuery(limit=_SEARCHED)), 1):
        if number % _STEP == 0:
            time.sleep(_PAUSE_S)
        model = row.body.get("model")
        if model is not None and model["sha256"] == sha256 and row.body["frame"]["width"]:
            yield row.body
            found += 1
            if found == PAST_PARTS:
                return


def rates_of(verdict: str, *, slow: bool) -> list[str]:
    """Those of RATES that a verdict is a hit of."""
    return [verdict] * (verdict in RATES) + ["slow"] * slow


def is_slow(milliseconds: float, slow_ms: float | None) -> bool:
    return slow_ms is not None and milliseconds > slow_ms

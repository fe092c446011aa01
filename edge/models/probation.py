"""Probation of a new model version: do its rates differ from the past by more than chance?

Pure logic: no clock, no disk. Each rate (of errors, passes, reviews, slow verdicts) is compared
with that of the version before. It is looked at after fixed numbers of parts. Fisher's exact test
(R. A. Fisher, 1935: the hypergeometric distribution, given the sum of both) says how likely such a
difference is when nothing has changed. The stated rate of false returns is divided by the looks,
the rates and both directions (Bonferroni). So it bounds the chance that a version is sent back
which judges as the one before, however short the past was. It assumes parts in a random order;
parts that change during the probation look like a changed model.

A busy box makes some verdicts slow whatever the model. So slow verdicts count only when they are
more than a quarter of all.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from edge.models.records import ProbationRecord

FIRST_LOOK = 25  # parts; each later look is at twice as many
LEAST_SHARE = {"slow": 0.25}  # of the parts: a rate at or below it sends nothing back
_NEGLIGIBLE = 1e-17  # a term of a sum, relative to the sum


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `parts` verdicts."""

    hits: int
    parts: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A rate that differs by more than chance explains. `chance`: how likely a difference of this
    size or more in this direction is."""

    rate: str
    before: Share
    now: Share
    chance: float

    def __str__(self) -> str:
        return (
            f"{self.rate}: {self.now.hits} of {self.now.parts} parts, before "
            f"{self.before.hits} of {self.before.parts} (by chance: {self.chance:.1e})"
        )


@dataclass(slots=True)
class Probation:
    """Counts the verdicts of a new version. Not thread-safe.

    past: each rate before, by name. parts: the length of the probation. false_returns: the stated
    rate, 0 to 1.
    """

    past: Mapping[str, Share]
    parts: int
    false_returns: float
    seen: int = 0
    hits: dict[str, int] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether all parts were seen."""
        return self.seen >= self.parts

    def count(self, rates: Iterable[str]) -> Difference | None:
        """Counts one part, a hit for these of the rates. Returns the clearest difference when a
        look finds one that chance does not explain."""
        if self.is_over:
            return None
        self.seen += 1
        for rate in rates:
            if rate in self.past:
                self.hits[rate] = self.hits.get(rate, 0) + 1
        return self._look() if self.seen in self._looks() else None

    @classmethod
    def of(cls, record: ProbationRecord) -> Self:
        """As a record says. A rate without a hit in the past is in `past_hits` too."""
        past = {name: Share(hits, record.past_parts) for name, hits in record.past_hits.items()}
        return cls(past, record.parts, record.false_returns, record.seen, dict(record.hits))

    def noted_in(self, record: ProbationRecord) -> ProbationRecord:
        """The record with these counts."""
        return record.replace(seen=self.seen, hits=dict(self.hits))

    def _looks(self) -> list[int]:
        looks, parts = [self.parts], FIRST_LOOK
        while parts < self.parts:
            looks.append(parts)
            parts *= 2
        return looks

    def _look(self) -> Difference | None:
        limit = self.false_returns / (2 * len(self._looks()) * max(1, len(self.past)))
        found = []
        for rate, before in self.past.items():
            now = Share(self.hits.get(rate, 0), self.seen)
            if rate in LEAST_SHARE and now.hits <= LEAST_SHARE[rate] * now.parts:
                continue
            chance = min(chance_of_more(before, now), chance_of_fewer(before, now))
            if chance <= limit:
                found.append(Difference(rate, before, now, chance))
        return min(found, key=lambda one: one.chance, default=None)


def chance_of_more(before: Share, now: Share) -> float:
    """How likely `now` has as many hits or more when its rate is that of `before`, given the hits
    of both together."""
    return _tail(now.hits, now.parts, before.hits + now.hits, before.parts + now.parts)


def chance_of_fewer(before: Share, now: Share) -> float:
    """The same for as many hits or fewer."""
    misses = [Share(one.parts - one.hits, one.parts) for one in (before, now)]
    return chance_of_more(*misses)


def _tail(hits: int, drawn: int, marked: int, total: int) -> float:
    """The chance of `hits` or more marked ones among `drawn` of `total`, of which `marked` are."""
    most = min(drawn, marked)
    unmarked = total - marked
    if hits <= max(0, drawn - unmarked):
        return 1.0
    term = math.exp(
        _log_choose(marked, hits) + _log_choose(unmarked, drawn - hits) - _log_choose(total, drawn)
    )
    found = term
    for k in range(hits, most):
        ratio = (marked - k) * (drawn - k) / ((k + 1) * (unmarked - drawn + k + 1))
        term *= ratio
        found += term
        if ratio < 1 and term < _NEGLIGIBLE * found:
            break
    return min(1.0, found)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

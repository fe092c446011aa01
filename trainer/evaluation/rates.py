"""Rates counted on pictures, with the intervals that they support for parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.evaluation.intervals import Interval, binomial_interval, upper_bound


@dataclass(frozen=True, slots=True)
class Rate:
    """`k` of `n` pictures, with the exact 95 % interval of the rate.

    `independent` is the effective number of pictures of different parts. The interval uses it, so
    it is wider than that of k in n.
    """

    k: int
    n: int
    interval: Interval
    independent: float

    @property
    def rate(self) -> float | None:
        """k / n, 0 to 1; None when n is 0."""
        return self.k / self.n if self.n else None

    @property
    def at_most(self) -> float:
        """The one-sided 95 % upper bound of the rate, 0 to 1."""
        return upper_bound(*_as_independent(self.k, self.n, self.independent))

    def as_json(self) -> dict[str, Any]:
        """For inspection.json and reports."""
        return {
            "k": self.k,
            "n": self.n,
            "rate": self.rate,
            "interval": list(self.interval),
            "independent": round(self.independent, 1),
            "at_most": self.at_most,
        }

    def as_text(self, name: str, meaning: str) -> str:
        """One line for a terminal."""
        low, high = self.interval
        share = f"{self.rate:6.1%}" if self.rate is not None else "     –"
        fewer = f"; they count as {self.independent:.0f}" if self.n - self.independent >= 1 else ""
        return (
            f"{name:<14} {share}  ({self.k} of {self.n} {meaning}{fewer}; "
            f"95 % interval {low:.1%} to {high:.1%})"
        )


def rate_of(k: int, n: int, independent: float | None = None) -> Rate:
    """The rate of `k` in `n` pictures, which count as `independent` ones, by default all n."""
    count = float(n) if independent is None else min(independent, float(n))
    return Rate(k, n, binomial_interval(*_as_independent(k, n, count)), count)


def pictures_needed(limit: float, k: int = 0) -> int:
    """The smallest number of independent pictures whose `k` cases bound the rate by `limit` (95 %).

    `limit` is above 0, below 1. pictures_needed(0.001) is 2,995.
    """
    low, high = k, max(k, 1)
    while upper_bound(k, high) > limit:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(k, middle) > limit else (low, middle)
    return high


def cases_allowed(limit: float, n: float) -> int | None:
    """The largest number of cases in `n` that bounds the rate by `limit`; None when 0 do not."""
    if n <= 0 or upper_bound(0, n) > limit:
        return None
    low, high = 0, int(n)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(middle, n) <= limit else (low, middle)
    return low


def percent(share: float) -> str:
    """A share in per cent with two significant digits."""
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def count_text(pictures: int, what: str, groups: Sequence[str], independent: float) -> str:
    """The sample in words: "81 defects of 13 parts, which count as 30"."""
    parts = len(set(groups))
    if parts == pictures:
        return f"{pictures} {what}"
    return f"{pictures} {what} of {parts} parts, which count as {independent:.0f}"


def _as_independent(k: int, n: int, independent: float) -> tuple[float, float]:
    # The division comes first: k · independent / n may round to more than `independent`.
    return (k / n * independent if n else 0.0), independent

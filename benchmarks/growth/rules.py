"""When a cost grows faster than its cause: the fit, its noise, and the rule. Pure.

A cost is of one of two kinds. `whole` is what all of the cause costs together (memory, bytes, the
time of a start): it may grow with its cause, not faster. `each` is what one more piece costs (a
frame, a commit): it may not grow at all. No absolute figure is judged.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["whole", "each"]

# An index over a million rows is deeper than one over a thousand: n log n from 1,000 to 1,000,000
# has an exponent of 1.1 and is no fault.
FASTEST = 1.1
MOST = 1.3  # of an `each`: caches that no longer hold everything cost a little
_CLEAR = 5  # times the noise: nearer to it, a logarithm says nothing
# 97.5 % of Student's t by degrees of freedom, from 1
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True, slots=True)
class Cost:
    """What something cost at each size of its cause, which rises, in several rounds: those with one
    index were measured about the same time. Sizes below `least` are shown and not judged: less is
    done there. `scale` and `form` are for the table."""

    name: str
    kind: Kind
    at: Mapping[float, Sequence[float]]
    least: float = 0.0
    scale: float = 1.0
    form: str = ".3g"

    def judged(self) -> dict[float, Sequence[float]]:
        """The sizes that count."""
        return {size: found for size, found in self.at.items() if size >= self.least}

    def median(self, size: float) -> float:
        """In the table's unit."""
        return statistics.median(self.at[size]) * self.scale


@dataclass(frozen=True, slots=True)
class Fit:
    """cost - cost at the least size ~ (size - least size) ** exponent, ± `half` (95 %), over so
    many sizes. With one size `half` is infinite and the exponent the least that is possible."""

    exponent: float
    half: float
    sizes: int

    @property
    def low(self) -> float:
        """The exponent is surely not lower."""
        return self.exponent if self.sizes == 1 else self.exponent - self.half


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on a cost, as a sentence."""

    good: bool
    text: str


def fit(at: Mapping[float, Sequence[float]]) -> Fit | None:
    """The straight line through logarithms, of what each size adds to the least one: a fixed share
    would hide growth. Sizes that add less than five times the noise are left out. None: no size
    adds anything that can be told from the noise."""
    first, *others = sorted(at)
    base, noise = statistics.median(at[first]), _spread(at[first])
    clear = [
        size
        for size in others
        if statistics.median(at[size]) - base > _CLEAR * max(noise, _spread(at[size]))
        and min(at[size]) > base
    ]
    if not clear:
        return None
    if len(clear) == 1:
        return _least_exponent(at, first, clear[0])
    points = [
        (math.log(size - first), math.log(cost - base)) for size in clear for cost in at[size]
    ]
    x_mean = statistics.fmean(x for x, _ in points)
    y_mean = statistics.fmean(y for _, y in points)
    width = sum((x - x_mean) ** 2 for x, _ in points)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / width
    residue = sum((y - y_mean - slope * (x - x_mean)) ** 2 for x, y in points)
    freedom = len(points) - 2
    if not freedom:
        return Fit(slope, math.inf, 2)
    t = _T[freedom - 1] if freedom <= len(_T) else 1.96
    return Fit(slope, t * math.sqrt(residue / freedom / width), len(clear))


def _least_exponent(at: Mapping[float, Sequence[float]], first: float, size: float) -> Fit | None:
    """One size stands out: how fast must it at least have grown from the one before?"""
    before = [one for one in sorted(at) if first < one < size]
    if not before:
        return None
    base = statistics.median(at[first])
    hidden = max(
        max(at[before[-1]]) - base, _CLEAR * _spread(at[first]), _CLEAR * _spread(at[before[-1]])
    )
    if hidden <= 0:  # exactly nothing, then something: a step
        return Fit(math.inf, math.inf, 1)
    added = min(at[size]) - base
    steps = math.log((size - first) / (before[-1] - first))
    return Fit(math.log(added / hidden) / steps, math.inf, 1)


def judge(cost: Cost) -> Finding:
    """Whether the cost grows faster than its cause."""
    at = cost.judged()
    if len(at) < 2 or min(len(found) for found in at.values()) < 2:
        return Finding(False, "too few measurements to say anything")
    return _judge_each(at) if cost.kind == "each" else _judge_whole(at)


def _judge_whole(at: Mapping[float, Sequence[float]]) -> Finding:
    line = fit(at)
    if line is None:
        return Finding(True, "does not grow beyond the noise")
    shown = f"exponent {line.exponent:.2f} ± {line.half:.2f}"
    if line.sizes == 1:
        shown = f"exponent at least {line.exponent:.2f}, seen at one size only"
    if line.low > FASTEST:
        return Finding(False, f"GROWS FASTER than its cause: {shown}")
    return Finding(True, f"grows no faster than its cause: {shown}")


def _judge_each(at: Mapping[float, Sequence[float]]) -> Finding:
    """Growth is seen when from some size to a larger one the cost is past the factor in every
    round: so neither one bad moment of the machine nor a slow first size decides."""
    sizes = sorted(at)
    pairs = [(a, b) for i, a in enumerate(sizes) for b in sizes[i + 1 :]]
    ratio, start, end = max(
        (statistics.median(at[b]) / max(statistics.median(at[a]), 1e-12), a, b) for a, b in pairs
    )
    shown = f"at most ×{ratio:.2f} (from {start:,.0f} to {end:,.0f})"
    if ratio <= 1:
        shown = "it falls"
    for a, b in pairs:
        least = min(late / max(early, 1e-12) for early, late in zip(at[a], at[b]))
        if least > MOST:
            return Finding(
                False, f"GROWS: at least ×{least:.2f} from {a:,.0f} to {b:,.0f}, in every round"
            )
    if ratio > MOST:
        return Finding(True, f"does not grow beyond the noise: {shown}")
    return Finding(True, f"does not grow: {shown}")


def _spread(found: Sequence[float]) -> float:
    """Half of what lies between the repeats."""
    return (max(found) - min(found)) / 2

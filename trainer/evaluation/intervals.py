"""95 % intervals that hold with few parts, several pictures a part, and near-perfect models.

Simulations selected the methods: docs/decisions/0012-intervals.md has the figures.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from trainer.core import optional_import
from trainer.evaluation.curves import (
    Bools,
    Floats,
    average_precision,
    checked_arrays,
    placements,
    precision_influence,
)
from trainer.evaluation.effective_sample_size import effective_sample_size

CONFIDENCE = 0.95
Interval = tuple[float, float]


def binomial_interval(k: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """The exact two-sided interval of a rate with `k` cases in `n` (Clopper and Pearson, 1934).

    Its ends are quantiles of the beta distribution. The lower end is 0 when k is 0; the upper end
    is 1 when k is n. The interval is 0 to 1 when n is 0. 0 in 100 gives at most 3.6 %. `k`
    and `n` may be effective, non-integer numbers (Korn and Graubard 1998). Raises ValueError for
    impossible numbers, MissingPartError without scipy.
    """
    if not 0 <= k <= n or not 0 < confidence < 1:
        raise ValueError(f"{k} of {n} at confidence {confidence}")
    beta = optional_import("scipy.stats").beta
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def upper_bound(k: float, n: float, confidence: float = CONFIDENCE) -> float:
    """The exact one-sided upper bound of a rate with `k` cases in `n`.

    0 in 81 gives 3.6 %, 0 in 2,995 gives 0.1 %. Arguments and errors as `binomial_interval`.
    """
    return binomial_interval(k, n, 2 * confidence - 1)[1]


def auroc_interval(scores: ArrayLike, defective: ArrayLike, groups: Sequence[str]) -> Interval:
    """The 95 % interval of the AUROC over groups, (low, high).

    `groups` names the part of each of the n pictures: pictures of one part are not independent.
    Each end is the wider one of two intervals:

    - the spread between parts (DeLong 1988, by cluster as in Obuchowski 1997), on the logit scale
      with Student's t;
    - Newcombe's score interval (2006, method 5) at the effective numbers of pictures, because an
      AUROC of 1.000 on ten parts does not prove 1.000.

    Raises DatasetError when good or defective pictures are missing.
    """
    values, bad = checked_arrays(scores, defective)
    names = np.asarray(groups)
    placed = placements(values, bad)
    area = float(placed[bad].mean())
    influence = (placed - area) / np.where(bad, bad.sum(), (~bad).sum())
    defects, good = _effective(values, bad, names)
    between_parts = _logit_interval(area, influence, bad, names)
    return _wider(area, between_parts, _newcombe(area, defects, good))


def auroc_gain(
    scores: ArrayLike, others: ArrayLike, defective: ArrayLike, groups: Sequence[str]
) -> tuple[float, Interval]:
    """The difference of the AUROC of `scores` to that of `others` on the same pictures.

    Returns the difference and its 95 % interval over groups (paired: DeLong 1988, by cluster as
    in Obuchowski 1997), -1 to 1. Arguments, each (n,), and errors as `auroc_interval`.
    """
    values, bad = checked_arrays(scores, defective)
    other_values, _bad = checked_arrays(others, defective)
    names = np.asarray(groups)
    difference = placements(values, bad) - placements(other_values, bad)
    gain = float(difference[bad].mean())
    influence = (difference - gain) / np.where(bad, bad.sum(), (~bad).sum())
    variance, freedom = _variance(influence, bad, names)
    half_width = _student(freedom) * float(np.sqrt(variance))
    return gain, (max(-1.0, gain - half_width), min(1.0, gain + half_width))


def average_precision_interval(
    scores: ArrayLike, defective: ArrayLike, groups: Sequence[str]
) -> Interval:
    """The 95 % interval of average precision over groups, at this set's share of defects.

    As `auroc_interval`, with the first-order influence of each picture. The second interval is
    Wilson's score interval at the effective number of the rarer kind (after Boyd, Eng and Page
    2013, who count the defects).
    """
    values, bad = checked_arrays(scores, defective)
    names = np.asarray(groups)
    influence = precision_influence(values, bad)
    # Centred within each kind: the number of defects in the set is fixed, not random.
    influence = influence - np.where(bad, influence[bad].mean(), influence[~bad].mean())
    area = average_precision(values, bad)
    between_parts = _logit_interval(area, influence, bad, names)
    return _wider(area, between_parts, _wilson(area, min(_effective(values, bad, names))))


def _effective(values: Floats, bad: Bools, names: np.ndarray) -> tuple[float, float]:
    return (
        effective_sample_size(values[bad], names[bad].tolist()),
        effective_sample_size(values[~bad], names[~bad].tolist()),
    )


def _logit_interval(estimate: float, influence: Floats, bad: Bools, names: np.ndarray) -> Interval:
    """The interval on the logit scale from each picture's influence, (n,), summed by group."""
    if not 0 < estimate < 1:
        return estimate, estimate
    variance, freedom = _variance(influence, bad, names)
    if variance <= 0:
        return estimate, estimate
    centre = np.log(estimate / (1 - estimate))
    half_width = _student(freedom) * np.sqrt(variance) / (estimate * (1 - estimate))
    ends = centre + np.array([-half_width, half_width])
    low, high = 1 / (1 + np.exp(-ends.clip(-700, 700)))
    return float(low), float(high)


def _variance(influence: Floats, bad: Bools, names: np.ndarray) -> tuple[float, float]:
    """The variance of the summed influence, and Welch's degrees of freedom, at least 1."""
    _names, member = np.unique(names, return_inverse=True)
    by_kind = [np.bincount(member, influence * kind) for kind in (bad, ~bad)]
    parts = [len(np.unique(names[kind])) for kind in (bad, ~bad)]
    spread = [
        float((sums**2).sum()) * count / max(count - 1, 1) for sums, count in zip(by_kind, parts)
    ]
    # A part that shows both kinds makes the two sums dependent.
    variance = max(sum(spread) + 2 * float((by_kind[0] * by_kind[1]).sum()), 0.0)
    loss = sum(one**2 / max(count - 1, 1) for one, count in zip(spread, parts))
    return variance, max(sum(spread) ** 2 / loss, 1.0) if loss > 0 else 1.0


def _student(freedom: float) -> float:
    return float(optional_import("scipy.stats").t.ppf((1 + CONFIDENCE) / 2, freedom))


def _newcombe(area: float, defects: float, good: float) -> Interval:
    """All AUROCs t with |area - t| <= 1.96 sd(t).

    sd is that of exponential scores (Hanley and McNeil 1982), with the mean of both numbers in the
    cross terms.
    """
    mean = (defects + good) / 2

    def variance(t: float) -> float:
        cross = (mean - 1) * ((1 - t) / (2 - t) + t / (1 + t))
        return t * (1 - t) * (1 + cross) / (defects * good)

    return _score_interval(area, variance)


def _wilson(share: float, n: float) -> Interval:
    return _score_interval(share, lambda t: t * (1 - t) / n)


def _score_interval(estimate: float, variance: Callable[[float], float]) -> Interval:
    z = float(optional_import("scipy.stats").norm.ppf((1 + CONFIDENCE) / 2))

    def excess(t: float) -> float:
        return abs(estimate - t) - z * float(np.sqrt(max(variance(t), 0.0)))

    return _root(excess, estimate, 0.0), _root(excess, estimate, 1.0)


def _root(excess: Callable[[float], float], inside: float, outside: float) -> float:
    """Where `excess` turns positive between `inside` and `outside`, by bisection to 1e-9."""
    if inside == outside:
        return outside
    # The variance is 0 at the very end, so the interval never includes it.
    for _ in range(40):
        middle = (inside + outside) / 2
        if excess(middle) <= 0:
            inside = middle
        else:
            outside = middle
    return outside


def _wider(estimate: float, *found: Interval) -> Interval:
    low = min(estimate, *(one[0] for one in found))
    high = max(estimate, *(one[1] for one in found))
    return max(0.0, low), min(1.0, high)

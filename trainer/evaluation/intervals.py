"""95 % intervals that hold with few parts, several pictures a part, and near-perfect models.

Chosen by simulation, not by habit: docs/decisions/0012-intervals.md has the figures.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from trainer.core import optional_import
from trainer.evaluation.curves import Bools, Floats, checked_arrays, placements, precision_influence
from trainer.evaluation.effective_sample_size import effective_sample_size

CONFIDENCE = 0.95
Interval = tuple[float, float]


def binomial_interval(k: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval for a rate of which `k` in `n` were seen (Clopper and Pearson, 1934).

    Quantiles of the beta distribution; the lower end is 0 when k is 0, the upper end 1 when k
    is n, and all is possible when n is 0. 0 in 100 gives at most 3.6 %: the interval is
    two-sided. `k` and `n` may be effective numbers, which are no whole ones (Korn and Graubard
    1998). Raises ValueError for impossible numbers, MissingPartError without scipy.
    """
    if not 0 <= k <= n or not 0 < confidence < 1:
        raise ValueError(f"{k} of {n} at confidence {confidence}")
    beta = optional_import("scipy.stats").beta
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def upper_bound(k: float, n: float, confidence: float = CONFIDENCE) -> float:
    """The largest rate that `k` in `n` leave possible: one-sided and exact.

    0 in 81 gives 3.6 %, 0 in 2,995 gives 0.1 %. Arguments and errors as `binomial_interval`.
    """
    return binomial_interval(k, n, 2 * confidence - 1)[1]


def auroc_interval(scores: ArrayLike, defective: ArrayLike, groups: Sequence[str]) -> Interval:
    """The 95 % interval of the AUROC over groups, (low, high).

    Groups are parts: pictures of one part are not independent. `groups` names the part
    of each of the n pictures. The wider of two at each end: the parts' own spread (DeLong 1988,
    by cluster as in Obuchowski 1997) on the logit scale with Student's t, and Newcombe's score
    interval (2006, method 5) at the effective numbers of pictures, which alone knows that 1.000
    seen on ten parts is not 1.000. Raises DatasetError when good or defective pictures are missing.
    """
    values, bad = checked_arrays(scores, defective)
    names = np.asarray(groups)
    place = placements(values, bad)
    area = float(place[bad].mean())
    pull = (place - area) / np.where(bad, bad.sum(), (~bad).sum())
    defects, good = _effective(values, bad, names)
    own = _logit_interval(area, pull, bad, names)
    return _wider(area, own, _newcombe(area, defects, good))


def auroc_gain(
    scores: ArrayLike, others: ArrayLike, defective: ArrayLike, groups: Sequence[str]
) -> tuple[float, Interval]:
    """By how much the AUROC of `scores` is above that of `others` on the same pictures.

    Returns the difference and its 95 % interval over groups (paired: DeLong 1988, by cluster as
    in Obuchowski 1997), -1 to 1. Arguments, each (n,), and errors as `auroc_interval`.
    """
    values, bad = checked_arrays(scores, defective)
    rivals, _bad = checked_arrays(others, defective)
    names = np.asarray(groups)
    ahead = placements(values, bad) - placements(rivals, bad)
    gain = float(ahead[bad].mean())
    pull = (ahead - gain) / np.where(bad, bad.sum(), (~bad).sum())
    variance, freedom = _spread(pull, bad, names)
    reach = _student(freedom) * float(np.sqrt(variance))
    return gain, (max(-1.0, gain - reach), min(1.0, gain + reach))


def average_precision_interval(
    scores: ArrayLike, defective: ArrayLike, groups: Sequence[str]
) -> Interval:
    """The 95 % interval of average precision over groups, at this set's share of defects.

    As `auroc_interval`, with the first-order influence of each picture; at the rim Wilson's score
    interval for a share among as many independent pictures as the rarer kind has (after Boyd,
    Eng and Page 2013, who count the defects).
    """
    values, bad = checked_arrays(scores, defective)
    names = np.asarray(groups)
    caught = precision_influence(values, bad)
    # Within its kind: how many defects the set has is given, not drawn.
    pull = caught - np.where(bad, caught[bad].mean(), caught[~bad].mean())
    area = _precision(values, bad)
    own = _logit_interval(area, pull, bad, names)
    return _wider(area, own, _wilson(area, min(_effective(values, bad, names))))


def _precision(values: Floats, bad: Bools) -> float:
    from trainer.evaluation.curves import average_precision

    return average_precision(values, bad)


def _effective(values: Floats, bad: Bools, names: np.ndarray) -> tuple[float, float]:
    return (
        effective_sample_size(values[bad], names[bad].tolist()),
        effective_sample_size(values[~bad], names[~bad].tolist()),
    )


def _logit_interval(estimate: float, pull: Floats, bad: Bools, names: np.ndarray) -> Interval:
    """From each picture's pull on the estimate, (n,), summed by group."""
    if not 0 < estimate < 1:
        return estimate, estimate
    variance, freedom = _spread(pull, bad, names)
    if variance <= 0:
        return estimate, estimate
    centre = np.log(estimate / (1 - estimate))
    reach = _student(freedom) * np.sqrt(variance) / (estimate * (1 - estimate))
    low, high = 1 / (1 + np.exp(-(centre - np.array([reach, -reach])).clip(-700, 700)))
    return float(low), float(high)


def _spread(pull: Floats, bad: Bools, names: np.ndarray) -> tuple[float, float]:
    """Variance of the sum of pulls over groups, and Welch's degrees of freedom, at least 1."""
    _names, member = np.unique(names, return_inverse=True)
    by_kind = [np.bincount(member, pull * kind) for kind in (bad, ~bad)]
    parts = [len(np.unique(names[kind])) for kind in (bad, ~bad)]
    spread = [
        float((sums**2).sum()) * count / max(count - 1, 1) for sums, count in zip(by_kind, parts)
    ]
    # Parts that show both kinds tie the two together.
    variance = max(sum(spread) + 2 * float((by_kind[0] * by_kind[1]).sum()), 0.0)
    loss = sum(one**2 / max(count - 1, 1) for one, count in zip(spread, parts))
    return variance, max(sum(spread) ** 2 / loss, 1.0) if loss > 0 else 1.0


def _student(freedom: float) -> float:
    return float(optional_import("scipy.stats").t.ppf((1 + CONFIDENCE) / 2, freedom))


def _newcombe(area: float, defects: float, good: float) -> Interval:
    """All AUROCs t with |area - t| <= 1.96 sd(t), sd as for exponential scores (Hanley and McNeil
    1982) with both kinds' number replaced by their mean in the cross terms."""
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

    return _edge(excess, estimate, 0.0), _edge(excess, estimate, 1.0)


def _edge(excess: Callable[[float], float], inside: float, outside: float) -> float:
    """Where `excess` turns positive on the way out; by bisection, to 1e-9."""
    if inside == outside:
        return outside
    # At the very end the variance vanishes, so the end itself never belongs.
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

"""How often defective parts pass and good parts fail on the running line. Pure: no clock, no disk.

- *Escape rate*: the share of defective parts among the passed parts.
- *False-reject rate*: the share of good parts that fail.

Only the random sample of `pass` counts for escapes. Passes that were kept for another reason, such
as a score near a threshold, are worse than the others and would raise the rate. The sample is
*stratified*: each sampling rate is a stratum, because its pictures stand for more or fewer passes.

Sources of the formulas:

- The estimate is the stratified mean, sum of W d / m, where W is the stratum's share of the passes
  and d of m looks found a defect (Cochran, Sampling Techniques, 1977, section 5.4).
- The interval follows Fay and Feuer (Statistics in Medicine 16, 1997, 791-801): its lower end uses
  mean y and variance v of the weighted sum, its upper end y + w and v + w^2, where w is the
  largest weight of one look. They match a gamma distribution; here a beta distribution, whose
  values stay below 1. With one stratum that is the exact interval of Clopper and Pearson (1934).
- Non-integer counts in that interval: Korn and Graubard (Survey Methodology 24, 1998, 193-201).

docs/estimate.md has the measured coverage.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edge.plant.beta_quantile import beta_quantile
from edge.plant.estimate_values import (
    LOOK_NEXT,
    Escapes,
    Estimate,
    FalseRejects,
    Goal,
    LabelCounts,
    LabelledPass,
    RateInterval,
    percent,
)

CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
# With fewer looks the upper limit of a stratum is as wide as "all of them".
_MIN_LOOKS = 4
_MOST_LOOKS = 1_000_000  # a goal that needs more is no advice
_RATE_DIGITS = 9
_NOBODY = LabelCounts()


@dataclass(frozen=True, slots=True)
class _Stratum:
    rate: float
    passes: int
    looks: int
    found: int


def estimate_rates(
    passes: Mapping[float, int],
    looks: Iterable[LabelledPass],
    failed: LabelCounts = _NOBODY,
    reviewed: LabelCounts = _NOBODY,
) -> Estimate:
    """Both rates of one period, and of one model version if all arguments are of that version.

    `passes`: sampling rate in force -> number of `pass` verdicts judged at it. `failed` and
    `reviewed`: the parts of these verdicts; the labelled ones count as a random choice.
    A look does not count when `passes` has no verdict at its rate.
    """
    strata = _strata(passes, looks)
    sampled = [one for one in strata if one.rate > 0 and one.passes > 0]
    unsampled = sum(one.passes for one in strata if one.rate <= 0)
    escapes, missing = _escapes(sampled, unsampled)
    share = escapes.share
    rejects, unknown = _false_rejects(share, escapes.passes + unsampled, failed, reviewed)
    lost = sum(one.looks for one in strata if not one.passes)
    if lost:
        missing.append(
            f"{lost:,} looks do not count: history has no passes judged at their sampling rate"
        )
    return Estimate(escapes, rejects, tuple(missing + unknown))


def interval(cases: float, n: float) -> tuple[float, float]:
    """The exact 95 % interval of a rate with `cases` in `n`, which need not be integers."""
    return _lower(cases, n), _upper(cases, n)


def _strata(passes: Mapping[float, int], looks: Iterable[LabelledPass]) -> list[_Stratum]:
    number: Counter[float] = Counter()
    for rate, count in passes.items():
        number[round(rate, _RATE_DIGITS)] += count
    seen: Counter[float] = Counter()
    found: Counter[float] = Counter()
    for look in looks:
        rate = round(look.rate, _RATE_DIGITS)
        seen[rate] += 1
        found[rate] += look.defective
    return [_Stratum(rate, number[rate], seen[rate], found[rate]) for rate in sorted(number | seen)]


def _escapes(sampled: list[_Stratum], unsampled: int) -> tuple[Escapes, list[str]]:
    total = sum(one.passes for one in sampled)
    counted = [one for one in sampled if one.looks >= _MIN_LOOKS]
    counted = counted or [one for one in sampled if one.looks]
    unseen = [one for one in sampled if one not in counted]
    missing = []
    if unsampled:
        missing.append(
            f"{unsampled:,} passes were judged with archive.pass_sample 0: nothing is known of "
            "them; set a share such as 0.005 to learn of escapes"
        )
    missing += [
        f"{one.passes:,} passes were judged at the sampling rate {percent(one.rate)}, and "
        f"{one.looks} of their pictures were looked at; label at least {_MIN_LOOKS} "
        f"({LOOK_NEXT}), or take a --since at which they were over"
        for one in unseen
    ]
    share = goal = None
    if counted:
        share, goal = _weighted_share(counted, total)
    elif not sampled and not unsampled:
        missing.append("no part passed in this period, so no escape can be counted")
    return (
        Escapes(
            share,
            total,
            unsampled,
            sum(one.passes for one in unseen),
            sum(one.looks for one in counted),
            sum(one.found for one in counted),
            goal,
        ),
        missing,
    )


def _weighted_share(counted: list[_Stratum], total: int) -> tuple[RateInterval, Goal | None]:
    """The stratified mean over `counted`; `total` passes are the population."""
    covered = sum(one.passes for one in counted)
    weights = [one.passes / covered / one.looks for one in counted]
    mean = sum(weight * one.found for weight, one in zip(weights, counted))
    variance = sum(weight**2 * one.found for weight, one in zip(weights, counted))
    largest = max(weights)
    part = covered / total

    def upper(times: float) -> float:
        """The upper limit with `times` as many looks in each stratum."""
        weight = largest / times
        return part * _matched(_TAIL, mean + weight, variance / times + weight**2) + 1 - part

    low = _matched_lower(mean, variance)
    share = RateInterval(mean, part * low, min(1.0, upper(1.0)))
    return share, _goal(share, upper, sum(one.looks for one in counted))


def _goal(share: RateInterval, upper: Callable[[float], float], looks: int) -> Goal | None:
    target = share.high / 2
    most = _MOST_LOOKS / looks
    if most <= 1 or upper(most) > target:
        return None
    low, high = 1.0, most
    while (high - low) * looks > 0.5:
        middle = (low + high) / 2
        low, high = (middle, high) if upper(middle) > target else (low, middle)
    return Goal(math.ceil((high - 1) * looks), target)


def _matched(tail: float, mean: float, variance: float) -> float:
    """The upper quantile of the beta distribution for a weighted sum of counts."""
    n = mean / variance
    cases = mean * n
    if n - cases + 1 <= 0:
        return 1.0
    return beta_quantile(1 - tail, cases, n - cases + 1)


def _matched_lower(mean: float, variance: float) -> float:
    return _lower(mean * mean / variance, mean / variance) if mean > 0 else 0.0


def _lower(cases: float, n: float) -> float:
    return beta_quantile(_TAIL, cases, n - cases + 1) if cases > 0 else 0.0


def _upper(cases: float, n: float) -> float:
    return beta_quantile(1 - _TAIL, cases + 1, n - cases) if n > cases else 1.0


def _false_rejects(
    escapes: RateInterval | None, passes: int, failed: LabelCounts, reviewed: LabelCounts
) -> tuple[FalseRejects, list[str]]:
    """The rate, from the failed parts that were looked at and the good parts they stand for."""
    if failed.parts and not failed.looks:
        sentence = f"{failed.parts:,} parts failed and none was looked at; label some of them"
        return FalseRejects(None, failed), [sentence]
    if escapes is None:
        unknown = "how many of the passed parts are good: label pictures of the random sample"
        return FalseRejects(None, failed), [unknown] if passes else []
    missing = []
    if reviewed.parts and not reviewed.looks:
        missing.append(
            f"{reviewed.parts:,} parts went to review and none was labelled: they may all be good "
            "or all defective"
        )
        review_low, review_rate, review_high = 0.0, 0.5, 1.0
    elif reviewed.parts:
        review_rate = reviewed.good / reviewed.looks
        review_low, review_high = interval(reviewed.good, reviewed.looks)
    else:
        review_low = review_rate = review_high = 0.0
    looked = failed.looks / failed.parts if failed.parts else 1.0
    rejected = failed.good / looked

    def looked_at(escape_rate: float, review_good: float) -> float:
        """The good parts of the line, counted by the share of the failed ones looked at."""
        return looked * (passes * (1 - escape_rate) + reviewed.parts * review_good + rejected)

    good = looked_at(escapes.rate, review_rate)
    if good <= 0:
        return FalseRejects(None, failed), [*missing, "no good part is known in this period"]
    share = RateInterval(
        failed.good / good,
        _lower(failed.good, looked_at(escapes.low, review_high)),
        _upper(failed.good, looked_at(escapes.high, review_low)),
    )
    return FalseRejects(share, failed), missing

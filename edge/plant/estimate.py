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
from typing import Any

from edge.plant.beta_quantile import beta_quantile

CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
# With fewer looks the upper limit of a stratum is as wide as "all of them".
_MIN_LOOKS = 4
_MOST_LOOKS = 1_000_000  # a goal that needs more is no advice
_RATE_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Look:
    """A passed part of the random sample that a person judged; `rate` was the sampling rate."""

    rate: float
    defective: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """The parts of one verdict, and how many of them a person called good and defective."""

    parts: int = 0
    good: int = 0
    defective: int = 0

    @property
    def looks(self) -> int:
        """The number of parts that a person judged."""
        return self.good + self.defective


@dataclass(frozen=True, slots=True)
class Share:
    """A rate, 0 to 1, with its 95 % interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Goal:
    """So many more looks lower the upper limit to `upper`, if they find defects as before."""

    looks: int
    upper: float


@dataclass(frozen=True, slots=True)
class Escapes:
    """The escape rate; `share` is None when too little is known.

    - `passes`: the passes that the estimate is of, judged at a sampling rate above 0.
    - `unsampled`: passes judged at the rate 0; the estimate says nothing of them.
    - `unseen`: passes of `passes` at rates of which hardly any picture was looked at. The upper
      limit counts them as defective.
    - `looks`, `found`: sampled passes that a person judged, and the defective ones of them.
    - `goal`: more looks that halve the upper limit; None when no number does.
    """

    share: Share | None
    passes: int
    unsampled: int
    unseen: int
    looks: int
    found: int
    goal: Goal | None


@dataclass(frozen=True, slots=True)
class FalseRejects:
    """The false-reject rate; `share` is None when too little is known."""

    share: Share | None
    failed: Judged


@dataclass(frozen=True, slots=True)
class Estimate:
    """Both rates. `missing` has a sentence for each thing that would have to be known."""

    escapes: Escapes
    false_rejects: FalseRejects
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For `estimate --json` and `health`."""
        escapes, rejects = self.escapes, self.false_rejects
        goal = escapes.goal
        return {
            "escape_rate": _share_json(escapes.share),
            "passes": escapes.passes,
            "passes_unsampled": escapes.unsampled,
            "passes_unseen": escapes.unseen,
            "looks": escapes.looks,
            "defective": escapes.found,
            "next": None if goal is None else {"looks": goal.looks, "upper": _rounded(goal.upper)},
            "false_reject_rate": _share_json(rejects.share),
            "failed": rejects.failed.parts,
            "failed_looks": rejects.failed.looks,
            "failed_good": rejects.failed.good,
            "missing": list(self.missing),
        }

    def sentences(self) -> list[str]:
        """The lines for a terminal."""
        escapes, rejects = self.escapes, self.false_rejects
        lines = []
        if (found := escapes.share) is not None:
            lines.append(
                f"escapes        at most {_percent(found.high)} of the passed parts are defective "
                f"(estimate {_percent(found.rate)}, 95 % interval {_percent(found.low)} to "
                f"{_percent(found.high)}; {escapes.found:,} in {escapes.looks:,} looks, for "
                f"{escapes.passes:,} passes)"
            )
            if escapes.goal is not None:
                lines.append(
                    f"               {escapes.goal.looks:,} more looks for "
                    f"{_percent(escapes.goal.upper)}"
                )
        if (found := rejects.share) is not None:
            lines.append(
                f"false rejects  {_percent(found.rate)} of the good parts fail (95 % interval "
                f"{_percent(found.low)} to {_percent(found.high)}; {rejects.failed.good:,} of "
                f"{rejects.failed.looks:,} failed parts that were looked at are good)"
            )
        return lines + [f"missing        {sentence}" for sentence in self.missing]


@dataclass(frozen=True, slots=True)
class _Stratum:
    rate: float
    passes: int
    looks: int
    found: int


def estimate_rates(
    passes: Mapping[float, int],
    looks: Iterable[Look],
    failed: Judged = Judged(),
    reviewed: Judged = Judged(),
) -> Estimate:
    """Both rates of one period, and of one model version if all arguments are of that version.

    `passes`: sampling rate in force -> number of `pass` verdicts judged at it. `failed` and
    `reviewed`: the parts of these verdicts; those that a person judged count as a random choice.
    A look at a rate without passes in `passes` does not count.
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


def _strata(passes: Mapping[float, int], looks: Iterable[Look]) -> list[_Stratum]:
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
        f"{one.passes:,} passes were judged at the sampling rate {_percent(one.rate)}, and "
        f"{one.looks} of their pictures were looked at; label at least {_MIN_LOOKS}, or take a "
        "--since at which they were over"
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


def _weighted_share(counted: list[_Stratum], total: int) -> tuple[Share, Goal | None]:
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
    share = Share(mean, part * low, min(1.0, upper(1.0)))
    return share, _goal(share, upper, sum(one.looks for one in counted))


def _goal(share: Share, upper: Callable[[float], float], looks: int) -> Goal | None:
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
    escapes: Share | None, passes: int, failed: Judged, reviewed: Judged
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
    share = Share(
        failed.good / good,
        _lower(failed.good, looked_at(escapes.low, review_high)),
        _upper(failed.good, looked_at(escapes.high, review_low)),
    )
    return FalseRejects(share, failed), missing


def _share_json(share: Share | None) -> dict[str, float] | None:
    if share is None:
        return None
    return {"rate": _rounded(share.rate), "low": _rounded(share.low), "high": _rounded(share.high)}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _percent(share: float) -> str:
    """A share in per cent with two significant digits."""
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"

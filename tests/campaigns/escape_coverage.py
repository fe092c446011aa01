"""The coverage of the escape and false-reject intervals over simulated months.

    python -m tests.campaigns.escape_coverage [--months 1000]

A month has periods with their own sampling rate, number of parts and share of defective parts.
Each `pass` is kept with the rate in force, and a person looks at a share of what was kept. The
truth is the share of defective parts among the parts that passed that month, and the probability
that a good part fails. Exit code 1 when an interval contains less than 93 % of the truths.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from edge.plant.estimate import estimate_rates
from edge.plant.estimate_values import LabelCounts, LabelledPass, RateInterval

REQUIRED = 0.93


@dataclass(frozen=True, slots=True)
class Period:
    """Part of a month: parts, sampling rate, P(defective) and the share of pictures looked at."""

    parts: int
    rate: float
    defective: float
    looked: float = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """A line. `escape` is P(pass | defective), `reject` P(fail | good); the rest goes to review."""

    name: str
    periods: tuple[Period, ...]
    escape: float = 0.1
    reject: float = 0.01
    review: float = 0.02
    labelled: float = 0.3


CASES: tuple[Case, ...] = (
    Case("one rate", (Period(40_000, 0.005, 0.05),)),
    Case("few looks", (Period(4_000, 0.005, 0.2),)),
    Case("hardly any escape", (Period(100_000, 0.005, 0.001),), escape=0.02),
    Case("nothing escapes", (Period(50_000, 0.005, 0.05),), escape=0.0),
    Case("rate raised", (Period(30_000, 0.002, 0.03), Period(10_000, 0.02, 0.03))),
    Case("raised as defects rise", (Period(35_000, 0.001, 0.01), Period(5_000, 0.05, 0.2))),
    Case("lowered as defects rise", (Period(35_000, 0.05, 0.01), Period(5_000, 0.001, 0.2))),
    Case(
        "four rates",
        (
            Period(10_000, 0.001, 0.02),
            Period(10_000, 0.003, 0.05),
            Period(10_000, 0.01, 0.02),
            Period(10_000, 0.05, 0.1),
        ),
    ),
    Case("few looks, two rates", (Period(3_000, 0.002, 0.1), Period(3_000, 0.01, 0.3))),
    Case("a short period", (Period(39_000, 0.01, 0.02), Period(1_000, 0.002, 0.5))),
    Case(
        "half looked at",
        (Period(30_000, 0.005, 0.05, 0.2), Period(10_000, 0.01, 0.05, 0.7)),
        labelled=0.05,
    ),
    Case("most are defective", (Period(20_000, 0.01, 0.9),), escape=0.4, reject=0.3),
    Case("no fails", (Period(20_000, 0.01, 0.001),), escape=1.0, reject=0.0),
)


def simulate(
    case: Case, rng: np.random.Generator
) -> tuple[RateInterval | None, float, RateInterval | None, float]:
    """One month: the escape interval and its truth, the false-reject interval and its truth."""
    passes: dict[float, int] = {}
    looks: list[LabelledPass] = []
    failed, reviewed = np.zeros(2, np.int64), np.zeros(2, np.int64)  # good, defective
    escaped = 0
    for period in case.periods:
        bad = int(rng.binomial(period.parts, period.defective))
        good = period.parts - bad
        other = (1 - case.escape) * 0.8
        bad_of = rng.multinomial(bad, (case.escape, 1 - case.escape - other, other))
        good_of = rng.multinomial(good, (1 - case.review - case.reject, case.review, case.reject))
        passes[period.rate] = passes.get(period.rate, 0) + int(bad_of[0] + good_of[0])
        escaped += int(bad_of[0])
        for count, is_bad in ((bad_of[0], True), (good_of[0], False)):
            seen = int(rng.binomial(count, period.rate * period.looked))
            looks += [LabelledPass(period.rate, is_bad)] * seen
        failed += (good_of[2], bad_of[2])
        reviewed += (good_of[1], bad_of[1])
    found = estimate_rates(
        passes, looks, _judged(failed, case.labelled, rng), _judged(reviewed, case.labelled, rng)
    )
    share = escaped / max(1, sum(passes.values()))
    return found.escapes.share, share, found.false_rejects.share, case.reject


def _judged(counts: "np.ndarray", share: float, rng: np.random.Generator) -> LabelCounts:
    good, bad = (int(rng.binomial(count, share)) for count in counts)
    return LabelCounts(int(counts.sum()), good, bad)


@dataclass(slots=True)
class Tally:
    """Intervals counted: all, those with the truth inside, and the sum of their upper ends."""

    made: int = 0
    held: int = 0
    upper: float = 0.0

    def add(self, share: RateInterval | None, truth: float) -> None:
        """Counts one interval; None is no interval."""
        if share is not None:
            self.made += 1
            self.held += share.low <= truth <= share.high
            self.upper += share.high

    @property
    def coverage(self) -> float:
        """The share of the intervals with the truth inside."""
        return self.held / self.made if self.made else 1.0


def covered(case: Case, months: int, seed: int) -> tuple[Tally, Tally, float]:
    """The escape and the false-reject intervals of `months`, and the mean escape rate."""
    rng = np.random.default_rng(seed)
    escapes, rejects, truths = Tally(), Tally(), 0.0
    for _ in range(months):
        share, truth, rejected, reject_truth = simulate(case, rng)
        escapes.add(share, truth)
        rejects.add(rejected, reject_truth)
        truths += truth / months
    return escapes, rejects, truths


def main() -> int:
    """Prints one line per case. Returns 1 when a coverage is too low."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--months", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print("| case | escape rate | escapes | mean upper end | false rejects | no interval |")
    print("|---|---|---|---|---|---|")
    least = 1.0
    for case in CASES:
        escapes, rejects, truth = covered(case, args.months, args.seed)
        least = min(least, escapes.coverage, rejects.coverage)
        upper = escapes.upper / max(1, escapes.made)
        print(
            f"| {case.name} | {truth:.3%} | {escapes.coverage:.1%} | {upper:.2%} | "
            f"{rejects.coverage:.1%} | {args.months - escapes.made} |",
            flush=True,
        )
    print(f"minimum coverage: {least:.1%}, required {REQUIRED:.0%}")
    return int(least < REQUIRED)


if __name__ == "__main__":
    sys.exit(main())

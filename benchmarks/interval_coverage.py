"""How often our 95 % intervals hold the truth, over simulated test parts: the claim must be true.

    python -m benchmarks.interval_coverage [--sets 200]

Each case draws parts with pictures that resemble each other (`alike` is the share of the variance
that a part's pictures share) and compares with the figure of a huge set. Exit code 1 when a case
covers less than 93 %.
"""

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from trainer.curves import auroc, average_precision
from trainer.intervals import auroc_interval, average_precision_interval
from trainer.rates import rate_of
from trainer.witnesses import effective_number

# parts with defects, good parts, pictures a part, distance of the kinds in sd, alike, shape
Case = tuple[int, int, int, float, float, str]
CASES: tuple[Case, ...] = (
    (10, 10, 1, 3.5, 0.0, "normal"),
    (10, 40, 1, 2.0, 0.0, "missed"),
    (20, 20, 8, 2.0, 0.5, "missed"),
    (15, 100, 4, 3.0, 0.5, "normal"),
    (10, 10, 1, 1.0, 0.0, "normal"),
    (10, 40, 1, 3.0, 0.0, "normal"),
    (20, 20, 1, 3.0, 0.0, "normal"),
    (40, 40, 1, 3.5, 0.0, "normal"),
    (20, 20, 1, 2.0, 0.0, "missed"),
    (40, 40, 1, 2.0, 0.0, "int8"),
    (10, 10, 8, 2.0, 0.5, "normal"),
    (20, 20, 8, 3.0, 0.5, "normal"),
    (40, 40, 8, 3.0, 0.3, "normal"),
    (10, 40, 8, 1.5, 0.8, "normal"),
    (20, 20, 8, 2.0, 0.5, "int8"),
    (40, 40, 8, 0.0, 0.5, "normal"),
    (4, 4, 100, 3.0, 0.1, "normal"),
    (4, 4, 100, 3.0, 0.5, "normal"),
)
LINE = 1.0  # a threshold in the middle of things, for the rates
HUGE = 40_000


def draw(
    case: Case, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    """Scores, (n,), truth and part of each picture of one simulated test part."""
    with_defects, good, pictures, distance, alike, shape = case
    scores, groups = [], []
    for kind, parts in enumerate((good, with_defects)):
        sizes = rng.poisson(pictures - 1, parts) + 1 if pictures > 1 else np.ones(parts, np.int64)
        member = np.repeat(np.arange(parts), sizes)
        noise = np.sqrt(alike) * rng.normal(size=parts)[member]
        noise = noise + np.sqrt(1 - alike) * rng.normal(size=len(member))
        shift = np.full(parts, distance * kind)
        if shape == "missed" and kind:  # a tenth of the defective parts looks like good ones
            shift = np.where(rng.random(parts) < 0.1, 0.0, distance + 2)
        scores.append(noise + shift[member])
        groups += [f"{kind}/{at}" for at in member]
    values = np.concatenate(scores)
    if shape == "int8":
        values = np.round(255 / (1 + np.exp(distance / 2 - values))) / 255
    return values, np.repeat([False, True], [len(one) for one in scores]), groups


def covered(case: Case, sets: int, seed: int) -> dict[str, float]:
    """By figure, the share of `sets` simulated sets whose interval holds the truth."""
    scale = max(1, HUGE // (case[0] + case[1]))
    large: Case = (case[0] * scale, case[1] * scale, 1, case[3], 0.0, case[5])
    scores, bad, _ = draw(large, np.random.default_rng(9))
    line = LINE if case[5] != "int8" else 0.5
    truth = {
        "auroc": auroc(scores, bad),
        "precision": average_precision(scores, bad),
        "escapes": float((scores[bad] < line).mean()),
    }
    rng = np.random.default_rng(seed)
    held = dict.fromkeys(truth, 0)
    for _ in range(sets):
        scores, bad, groups = draw(case, rng)
        its = [group for group, defective in zip(groups, bad) if defective]
        escaped, n = int((scores[bad] < line).sum()), int(bad.sum())
        found = {
            "auroc": auroc_interval(scores, bad, groups),
            "precision": average_precision_interval(scores, bad, groups),
            "escapes": rate_of(escaped, n, effective_number(scores[bad], its)).interval,
        }
        for name, (low, high) in found.items():
            held[name] += low <= truth[name] <= high
    return {name: count / sets for name, count in held.items()}


def main() -> int:
    """Prints a line a case; 1 when one covers too little."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print("defective good pictures distance alike shape    AUROC  avg.precision  escapes")
    worst = 1.0
    for case in CASES:
        shares = covered(case, args.sets, args.seed)
        worst = min(worst, *shares.values())
        print(
            f"{case[0]:>9} {case[1]:>4} {case[2]:>8} {case[3]:>8} {case[4]:>5} {case[5]:<7} "
            f"{shares['auroc']:>6.1%} {shares['precision']:>14.1%} {shares['escapes']:>8.1%}"
        )
    print(f"least covered: {worst:.1%}, wanted 93 %")
    return int(worst < 0.93)


if __name__ == "__main__":
    sys.exit(main())

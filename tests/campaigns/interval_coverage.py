"""How often our 95 % intervals hold the truth, over simulated test parts: the claim must be true.

    python -m tests.campaigns.interval_coverage [--sets 1000]
    python -m tests.campaigns.interval_coverage --scores RUN/scores.json [--by picture]
    python -m tests.campaigns.interval_coverage --scores MODEL.tflite --data DATASET

Each case draws parts with pictures that resemble each other (`alike` is the share of the variance
that a part's pictures share) and compares with the figure of a huge set. With `--scores`, the
scores of a real model on parts that it was not trained on are the population, of which parts are
drawn with replacement. Exit code 1 when a case covers less than 93 %. With 200 sets chance alone
moves a share by 1.5 points, and the least of forty by more: hence 1,000.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.campaigns.resampled_scores import LEAST_PARTS, Pool, draw_again, read_pool, truth_of
from trainer.evaluation import auroc, auroc_interval
from trainer.evaluation.curves import average_precision
from trainer.evaluation.effective_sample_size import effective_sample_size
from trainer.evaluation.intervals import average_precision_interval
from trainer.evaluation.rates import rate_of

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
            "escapes": rate_of(escaped, n, effective_sample_size(scores[bad], its)).interval,
        }
        for name, (low, high) in found.items():
            held[name] += low <= truth[name] <= high
    return {name: count / sets for name, count in held.items()}


def covered_again(pool: Pool, counts: tuple[int, int], sets: int, seed: int) -> dict[str, float]:
    """The same over `sets` test parts drawn from a pool; `counts` as `draw_again` takes them."""
    truth = truth_of(pool, counts)
    low_line, high_line = (
        np.quantile(pool.scores[pool.bad], 0.1),
        np.quantile(pool.scores[~pool.bad], 0.95),
    )
    area = truth.auroc()
    passing, failing = truth.escapes(low_line), truth.false_rejects(high_line)
    rng = np.random.default_rng(seed)
    held = dict.fromkeys(("auroc", "precision", "escapes", "false_rejects"), 0)
    for _ in range(sets):
        scores, bad, groups = draw_again(pool, counts, rng)
        found = {
            "auroc": (area, auroc_interval(scores, bad, groups)),
            "precision": (
                truth.average_precision(float(bad.mean())),
                average_precision_interval(scores, bad, groups),
            ),
            "escapes": (passing, _rate_interval(scores < low_line, scores, groups, bad)),
            "false_rejects": (failing, _rate_interval(scores >= high_line, scores, groups, ~bad)),
        }
        for name, (true, (low, high)) in found.items():
            held[name] += low - 1e-9 <= true <= high + 1e-9
    return {name: count / sets for name, count in held.items()}


def _rate_interval(
    cases: NDArray[np.bool_],
    scores: NDArray[np.float64],
    groups: list[str],
    kind: NDArray[np.bool_],
) -> tuple[float, float]:
    its = [group for group, here in zip(groups, kind) if here]
    counted = int(cases[kind].sum())
    return rate_of(counted, int(kind.sum()), effective_sample_size(scores[kind], its)).interval


def simulated(sets: int, seed: int) -> float:
    """Prints a line a simulated case; returns the least share covered."""
    print("defective good pictures distance alike shape    AUROC  avg.precision  escapes")
    worst = 1.0
    for case in CASES:
        shares = covered(case, sets, seed)
        worst = min(worst, *shares.values())
        print(
            f"{case[0]:>9} {case[1]:>4} {case[2]:>8} {case[3]:>8} {case[4]:>5} {case[5]:<7} "
            f"{shares['auroc']:>6.1%} {shares['precision']:>14.1%} {shares['escapes']:>8.1%}"
        )
    return worst


def resampled(pool: Pool, sets: int, seed: int) -> float:
    """Prints a line a size of test part, from a quarter of the pool to four times as many parts."""
    with_defects, good = (len(kind) for kind in pool.kinds())
    print("defective good   AUROC  avg.precision  escapes  false rejects")
    worst = 1.0
    for share in (0.25, 0.5, 1.0, 2.0, 4.0):
        counts = round(share * with_defects), round(share * good)
        if counts[0] < LEAST_PARTS or 0 < counts[1] < LEAST_PARTS:
            continue
        shares = covered_again(pool, counts, sets, seed)
        worst = min(worst, *shares.values())
        print(
            f"{counts[0]:>9} {counts[1]:>4} {shares['auroc']:>7.1%} {shares['precision']:>14.1%} "
            f"{shares['escapes']:>8.1%} {shares['false_rejects']:>14.1%}"
        )
    return worst


def main() -> int:
    """Prints a line a case; 1 when one covers too little."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scores", type=Path, metavar="FILE", help="scores.json or .tflite")
    parser.add_argument("--data", type=Path, help="what a .tflite is to judge")
    parser.add_argument("--by", choices=("group", "picture"), default="group", help="what is drawn")
    parser.add_argument("--parts", default="validation,test", help="of the data set (%(default)s)")
    parser.add_argument("--ok-label", default="ok")
    args = parser.parse_args()
    if args.scores is None:
        worst = simulated(args.sets, args.seed)
    else:
        pool = read_pool(args.scores, args.data, args.ok_label, args.by, args.parts.split(","))
        worst = resampled(pool, args.sets, args.seed)
    print(f"least covered: {worst:.1%}, wanted 93 %")
    return int(worst < 0.93)


if __name__ == "__main__":
    sys.exit(main())

"""The coverage of the 95 % intervals over simulated test sets.

    python -m tests.campaigns.interval_coverage [--sets 1000]
    python -m tests.campaigns.interval_coverage --scores RUN/scores.json [--by picture]
    python -m tests.campaigns.interval_coverage --scores MODEL.tflite --data DATASET

Each case draws parts whose pictures resemble each other (`alike` is the share of variance that the
pictures of a part share), and compares with the figure of a huge set. With `--scores`, parts are
drawn with replacement from the scores of a real model on a test set. Exit code 1 when a case covers
less than 93 %. With 200 sets, a share varies by 1.5 points, and the minimum of forty by more: hence
1,000.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.campaigns.resampled_scores import MIN_PARTS, Pool, draw_again, read_pool, truth_of
from trainer.evaluation import auroc, auroc_interval
from trainer.evaluation.curves import average_precision
from trainer.evaluation.effective_sample_size import effective_sample_size
from trainer.evaluation.intervals import average_precision_interval
from trainer.evaluation.rates import rate_of

# defective parts, good parts, pictures per part, distance of the classes in sd, alike, shape
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
THRESHOLD = 1.0  # a threshold for the rates
HUGE = 40_000


def draw(
    case: Case, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    """Scores, (n,), truth and part of each picture of one simulated test set."""
    with_defects, good, pictures, distance, alike, shape = case
    scores, groups = [], []
    for kind, parts in enumerate((good, with_defects)):
        sizes = rng.poisson(pictures - 1, parts) + 1 if pictures > 1 else np.ones(parts, np.int64)
        member = np.repeat(np.arange(parts), sizes)
        noise = np.sqrt(alike) * rng.normal(size=parts)[member]
        noise = noise + np.sqrt(1 - alike) * rng.normal(size=len(member))
        shift = np.full(parts, distance * kind)
        if shape == "missed" and kind:  # a tenth of the defective parts look good
            shift = np.where(rng.random(parts) < 0.1, 0.0, distance + 2)
        scores.append(noise + shift[member])
        groups += [f"{kind}/{at}" for at in member]
    values = np.concatenate(scores)
    if shape == "int8":
        values = np.round(255 / (1 + np.exp(distance / 2 - values))) / 255
    return values, np.repeat([False, True], [len(one) for one in scores]), groups


def covered(case: Case, sets: int, seed: int) -> dict[str, float]:
    """For each figure, the share of `sets` simulated sets whose interval contains the truth."""
    scale = max(1, HUGE // (case[0] + case[1]))
    large: Case = (case[0] * scale, case[1] * scale, 1, case[3], 0.0, case[5])
    scores, bad, _ = draw(large, np.random.default_rng(9))
    threshold = THRESHOLD if case[5] != "int8" else 0.5
    truth = {
        "auroc": auroc(scores, bad),
        "precision": average_precision(scores, bad),
        "escapes": float((scores[bad] < threshold).mean()),
    }
    rng = np.random.default_rng(seed)
    contained = dict.fromkeys(truth, 0)
    for _ in range(sets):
        scores, bad, groups = draw(case, rng)
        part_groups = [group for group, defective in zip(groups, bad) if defective]
        escaped, n = int((scores[bad] < threshold).sum()), int(bad.sum())
        found = {
            "auroc": auroc_interval(scores, bad, groups),
            "precision": average_precision_interval(scores, bad, groups),
            "escapes": rate_of(
                escaped, n, effective_sample_size(scores[bad], part_groups)
            ).interval,
        }
        for name, (low, high) in found.items():
            contained[name] += low <= truth[name] <= high
    return {name: count / sets for name, count in contained.items()}


def covered_by_pool(pool: Pool, counts: tuple[int, int], sets: int, seed: int) -> dict[str, float]:
    """The same over `sets` test sets from a pool. `counts` is as in `draw_again`."""
    truth = truth_of(pool, counts)
    low_threshold, high_threshold = (
        np.quantile(pool.scores[pool.bad], 0.1),
        np.quantile(pool.scores[~pool.bad], 0.95),
    )
    area = truth.auroc()
    passing, failing = truth.escapes(low_threshold), truth.false_rejects(high_threshold)
    rng = np.random.default_rng(seed)
    contained = dict.fromkeys(("auroc", "precision", "escapes", "false_rejects"), 0)
    for _ in range(sets):
        scores, bad, groups = draw_again(pool, counts, rng)
        found = {
            "auroc": (area, auroc_interval(scores, bad, groups)),
            "precision": (
                truth.average_precision(float(bad.mean())),
                average_precision_interval(scores, bad, groups),
            ),
            "escapes": (passing, _rate_interval(scores < low_threshold, scores, groups, bad)),
            "false_rejects": (
                failing,
                _rate_interval(scores >= high_threshold, scores, groups, ~bad),
            ),
        }
        for name, (true, (low, high)) in found.items():
            contained[name] += low - 1e-9 <= true <= high + 1e-9
    return {name: count / sets for name, count in contained.items()}


def _rate_interval(
    cases: NDArray[np.bool_],
    scores: NDArray[np.float64],
    groups: list[str],
    kind: NDArray[np.bool_],
) -> tuple[float, float]:
    part_groups = [group for group, is_kind in zip(groups, kind) if is_kind]
    counted = int(cases[kind].sum())
    return rate_of(
        counted, int(kind.sum()), effective_sample_size(scores[kind], part_groups)
    ).interval


def simulated(sets: int, seed: int) -> float:
    """Prints one line per simulated case. Returns the minimum coverage."""
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
    """Prints one line per test set size, from a quarter of the pool to four times its parts."""
    with_defects, good = (len(kind) for kind in pool.kinds())
    print("defective good   AUROC  avg.precision  escapes  false rejects")
    worst = 1.0
    for share in (0.25, 0.5, 1.0, 2.0, 4.0):
        counts = round(share * with_defects), round(share * good)
        if counts[0] < MIN_PARTS or 0 < counts[1] < MIN_PARTS:
            continue
        shares = covered_by_pool(pool, counts, sets, seed)
        worst = min(worst, *shares.values())
        print(
            f"{counts[0]:>9} {counts[1]:>4} {shares['auroc']:>7.1%} {shares['precision']:>14.1%} "
            f"{shares['escapes']:>8.1%} {shares['false_rejects']:>14.1%}"
        )
    return worst


def main() -> int:
    """Prints one line per case. Returns 1 when a coverage is too low."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scores", type=Path, metavar="FILE", help="scores.json or .tflite")
    parser.add_argument("--data", type=Path, help="the data set for a .tflite")
    parser.add_argument(
        "--by", choices=("group", "picture"), default="group", help="the unit that is drawn"
    )
    parser.add_argument(
        "--parts", default="validation,test", help="sets of the data set to use (%(default)s)"
    )
    parser.add_argument("--ok-label", default="ok")
    args = parser.parse_args()
    if args.scores is None:
        worst = simulated(args.sets, args.seed)
    else:
        pool = read_pool(args.scores, args.data, args.ok_label, args.by, args.parts.split(","))
        worst = resampled(pool, args.sets, args.seed)
    print(f"minimum coverage: {worst:.1%}, required 93 %")
    return int(worst < 0.93)


if __name__ == "__main__":
    sys.exit(main())

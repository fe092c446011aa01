"""Chooses the two thresholds between pass, review and fail from scores of the validation set."""

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.core.errors import DatasetError
from edge.inspection import Thresholds
from trainer.evaluation.rates import cases_allowed, percent
from trainer.evaluation.requirements import Requirements

CAUGHT_PERCENT = 95
# Shares of the good parts that fail, and that fail or need review, for a model of good parts only.
# A narrower review band lets int8 flip verdicts: 1 % of them with 0.05, 0.2 % with 0.1.
FAIL_SHARE, NOT_PASS_SHARE = 0.02, 0.1

# For a model that has not learned: a person reviews every part.
NOTHING_PASSES = Thresholds(
    reject_at=1, review_from=0, chosen="none: the model is not learned, so nothing may pass"
)

Floats = NDArray[np.float64]


def choose_thresholds(
    scores: ArrayLike, defective: ArrayLike, requirements: Requirements | None = None
) -> Thresholds:
    """Thresholds for scores of the validation set.

    `scores` is float, (n,), P(defective), 0 to 1; `defective` is bool, (n,).

    - Without requirements `reject_at` maximises Youden's J, the share of defects caught less the
      share of good parts rejected. It lies midway between two scores; of equals the lowest wins.
    - `review_from` is the largest score, not above `reject_at`, that at least 95 % of the defects
      reach.
    - A limit of escapes sets `review_from`, one of false rejects `reject_at`. When one line meets
      both, there is no review.
    - Costs set `reject_at` to the smallest expected cost.

    Raises DatasetError when good or defective pictures are missing.
    """
    values, bad = np.asarray(scores, np.float64), np.asarray(defective, np.bool_)
    defects, good = np.sort(values[bad]), np.sort(values[~bad])
    if not len(defects) or not len(good):
        raise DatasetError(
            f"thresholds need good and defective validation pictures (got {len(good)} and "
            f"{len(defects)}); add the missing kind"
        )
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise ValueError("scores must be between 0 and 1")
    requirements = requirements or Requirements()
    reject_at, how_reject = _reject_at(defects, good, requirements)
    review_from, how_review = _review_from(defects, good, requirements)
    if review_from > reject_at:
        # One line meets both limits: take the middle of the range.
        both = requirements.max_escape is not None and requirements.max_false_reject is not None
        line = (review_from + reject_at) / 2 if both else reject_at
        if requirements.max_escape is not None and not both:
            line = review_from
        reject_at = review_from = line
    passing = int((defects < review_from).sum())
    return Thresholds(
        reject_at=reject_at,
        review_from=review_from,
        chosen=(
            f"on {len(good)} good and {len(defects)} defective validation pictures that were not "
            f"trained on: reject_at {how_reject}, review_from {how_review}; there "
            f"{len(defects) - passing} of the {len(defects)} defects do not pass"
        ),
    )


def thresholds_for(
    scores: ArrayLike, defective: ArrayLike, requirements: Requirements | None = None
) -> Thresholds:
    """As `choose_thresholds`, or `thresholds_from_good` when validation has no defects."""
    bad = np.asarray(defective, np.bool_)
    if bad.any():
        return choose_thresholds(scores, bad, requirements)
    return thresholds_from_good(np.asarray(scores, np.float64), requirements or Requirements())


def thresholds_from_good(scores: Floats, requirements: Requirements) -> Thresholds:
    """Thresholds for a model that learned from good parts only.

    `scores` is float, (n,), P(defective) of good parts. At most 2 % of them fail, or as few as a
    limit of false rejects requires, and 10 % do not pass. Raises DatasetError without good parts,
    and for costs, which need defects.
    """
    if not len(scores):
        raise DatasetError("thresholds need good validation pictures (got 0); add good parts")
    if requirements.escape_cost is not None:
        raise DatasetError(
            "--escape-cost cannot be weighed where no defect stands in validation; state "
            "--max-false-reject instead"
        )
    good = np.sort(scores)
    failing = int(FAIL_SHARE * len(good))
    if requirements.max_false_reject is not None:
        failing = _cases_to_spend(requirements.max_false_reject, len(good))
    not_passing = max(failing, int(NOT_PASS_SHARE * len(good)))
    reject_at = _just_above(float(good[-1 - failing]), good)
    return Thresholds(
        reject_at=reject_at,
        review_from=min(_just_above(float(good[-1 - not_passing]), good), reject_at),
        chosen=(
            f"on {len(good)} good validation pictures and no defect: {failing} of them fail, "
            f"{not_passing} do not pass"
        ),
    )


def _reject_at(defects: Floats, good: Floats, requirements: Requirements) -> tuple[float, str]:
    if requirements.max_false_reject is not None:
        allowed = _cases_to_spend(requirements.max_false_reject, len(good))
        line = _just_above(float(good[-1 - allowed]), np.concatenate([defects, good]))
        return line, f"for at most {percent(requirements.max_false_reject)} false rejects"
    if requirements.escape_cost is not None and requirements.reject_cost is not None:
        share = requirements.defect_share or len(defects) / (len(defects) + len(good))
        weights = share * requirements.escape_cost, (1 - share) * requirements.reject_cost
        return _cheapest(defects, good, *weights), (
            f"where an escape costs {requirements.escape_cost:g}, a false reject "
            f"{requirements.reject_cost:g} and {percent(share)} of the parts are defective"
        )
    return _cheapest(defects, good, 1.0, 1.0), "by Youden's J"


def _review_from(defects: Floats, good: Floats, requirements: Requirements) -> tuple[float, str]:
    if requirements.max_escape is None:
        caught = -(-CAUGHT_PERCENT * len(defects) // 100)
        return float(defects[-caught]), f"so that {CAUGHT_PERCENT} % of the defects do not pass"
    allowed = _cases_to_spend(requirements.max_escape, len(defects))
    line = _just_below(float(defects[allowed]), np.concatenate([defects, good]))
    return line, f"for at most {percent(requirements.max_escape)} escapes"


def _cases_to_spend(limit: float, n: int) -> int:
    """Half of the cases that the limit allows in n pictures.

    The test set must show the limit again, where chance may add as many cases. Too few pictures
    allow none; the test set then decides.
    """
    return (cases_allowed(limit, n) or 0) // 2


def _just_below(score: float, everything: Floats) -> float:
    """Midway to the next lower score, so that no score lies on the line."""
    lower = everything[everything < score]
    return float(_middle(float(lower.max()) if len(lower) else 0.0, score))


def _just_above(score: float, everything: Floats) -> float:
    higher = everything[everything > score]
    # No line lies above 1: a picture with a score of 1 always fails.
    return float(_middle(score, float(higher.min()) if len(higher) else 1.0))


def _middle(below: float, above: float) -> float:
    middle = below + (above - below) / 2
    return middle if middle > below else above


def _cheapest(defects: Floats, good: Floats, escape: float, reject: float) -> float:
    """The line that minimises escape × share of defects below + reject × share of good above."""
    distinct = np.unique(np.concatenate([defects, good]))
    if len(distinct) == 1:
        return float(distinct[0])  # the model separates nothing: every part fails
    first = 0 if escape != reject else 1  # by Youden's J a line below all scores gains nothing
    lines = distinct[first:]
    caught = len(defects) - np.searchsorted(defects, lines, side="left")
    rejected = len(good) - np.searchsorted(good, lines, side="left")
    # Multiplied by both counts: equal weights then give whole numbers, which compare exactly.
    gain = escape * (caught * len(good)) - reject * (rejected * len(defects))
    best = int(cast(int, gain.argmax())) + first
    if best == 0:
        return float(distinct[0])
    return _middle(float(distinct[best - 1]), float(distinct[best]))

"""Where to draw the two lines between pass, review and fail, on parts that were not trained on."""

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.core.errors import DatasetError
from edge.inspection import Thresholds
from trainer.evaluation.rates import cases_allowed, percent
from trainer.evaluation.requirements import Requirements

CAUGHT_PERCENT = 95
# Of the good parts, where only good parts were learned from. Less between the two, and int8 carries
# pictures right across the review band: with 0.05 1 % of the verdicts flip, with 0.1 0.2 %.
FAILING, WAITING = 0.02, 0.1

# For a model that has learned nothing: every part goes to a person, whatever its score.
NOTHING_PASSES = Thresholds(
    reject_at=1, review_from=0, chosen="none: the model is not learned, so nothing may pass"
)

Floats = NDArray[np.float64]


def choose_thresholds(
    scores: ArrayLike, defective: ArrayLike, requirements: Requirements | None = None
) -> Thresholds:
    """Thresholds for scores of the validation set.

    `scores` is float, (n,), P(defective), 0 to 1; `defective` is bool, (n,). Without requirements
    `reject_at` lies midway between the two neighbouring scores where the share of defects caught
    less the share of good parts rejected (Youden's J) is largest; of equals, the lowest.
    `review_from` is the largest score, not above it, from which on at least 95 % of the defects
    lie. A limit of escapes sets `review_from`, one of false rejects `reject_at`; when both can be
    held by one line there is no review. Costs set `reject_at` where the expected cost is least.
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
        # Both limits leave room here, so one line does for both: in the middle of the room.
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
    """As `choose_thresholds`; from good parts alone where validation has no defects."""
    bad = np.asarray(defective, np.bool_)
    if bad.any():
        return choose_thresholds(scores, bad, requirements)
    return thresholds_from_good(np.asarray(scores, np.float64), requirements or Requirements())


def thresholds_from_good(scores: Floats, requirements: Requirements) -> Thresholds:
    """Thresholds for a model that learned from good parts only.

    `scores` is float, (n,), P(defective) of good parts. Of these at most 2 % fail, or
    as few as a limit of false rejects says, and 10 % do not pass. Raises DatasetError for none,
    and for costs, which nothing here can weigh.
    """
    if not len(scores):
        raise DatasetError("thresholds need good validation pictures (got 0); add good parts")
    if requirements.escape_cost is not None:
        raise DatasetError(
            "--escape-cost cannot be weighed where no defect stands in validation; state "
            "--max-false-reject instead"
        )
    good = np.sort(scores)
    failing = int(FAILING * len(good))
    if requirements.max_false_reject is not None:
        failing = _room(requirements.max_false_reject, len(good))
    waiting = max(failing, int(WAITING * len(good)))
    reject_at = _just_above(float(good[-1 - failing]), good)
    return Thresholds(
        reject_at=reject_at,
        review_from=min(_just_above(float(good[-1 - waiting]), good), reject_at),
        chosen=(
            f"on {len(good)} good validation pictures and no defect: {failing} of them fail, "
            f"{waiting} do not pass"
        ),
    )


def _reject_at(defects: Floats, good: Floats, requirements: Requirements) -> tuple[float, str]:
    if requirements.max_false_reject is not None:
        may = _room(requirements.max_false_reject, len(good))
        everything = np.concatenate([defects, good])
        line = _just_above(float(good[-1 - may]), everything)
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
        sure = -(-CAUGHT_PERCENT * len(defects) // 100)
        return float(defects[-sure]), f"so that {CAUGHT_PERCENT} % of the defects do not pass"
    may = _room(requirements.max_escape, len(defects))
    everything = np.concatenate([defects, good])
    line = _just_below(float(defects[may]), everything)
    return line, f"for at most {percent(requirements.max_escape)} escapes"


def _room(limit: float, n: int) -> int:
    """How many cases to spend of those that n pictures allow.

    Half: the limit must show again on other parts, where as many cases come by chance. Too few
    pictures allow none; whether that is enough, the test set says.
    """
    return (cases_allowed(limit, n) or 0) // 2


def _just_below(score: float, everything: Floats) -> float:
    """Midway to the next lower score, so that the score itself is not on the edge."""
    lower = everything[everything < score]
    return float(_middle(float(lower.max()) if len(lower) else 0.0, score))


def _just_above(score: float, everything: Floats) -> float:
    higher = everything[everything > score]
    # No line above a score of 1: such a picture fails whatever the line.
    return float(_middle(score, float(higher.min()) if len(higher) else 1.0))


def _middle(below: float, above: float) -> float:
    middle = below + (above - below) / 2
    return middle if middle > below else above


def _cheapest(defects: Floats, good: Floats, escape: float, reject: float) -> float:
    """The line where escape × share of defects below + reject × share of good above is least."""
    distinct = np.unique(np.concatenate([defects, good]))
    if len(distinct) == 1:
        return float(distinct[0])  # the model tells nothing apart: everything fails, nothing passes
    first = 0 if escape != reject else 1  # by Youden's J a line below all scores gains nothing
    lines = distinct[first:]
    caught = len(defects) - np.searchsorted(defects, lines, side="left")
    rejected = len(good) - np.searchsorted(good, lines, side="left")
    # Times both counts: with equal weights in whole numbers, so that equals are equal.
    gain = escape * (caught * len(good)) - reject * (rejected * len(defects))
    best = int(cast(int, gain.argmax())) + first
    if best == 0:
        return float(distinct[0])
    return _middle(float(distinct[best - 1]), float(distinct[best]))

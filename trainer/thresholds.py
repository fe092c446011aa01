"""Where to draw the two lines between pass, review and fail, on parts that were not trained on."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.errors import DatasetError
from edge.inspection.decision import Thresholds

CAUGHT_PERCENT = 95


def choose_thresholds(scores: ArrayLike, defective: ArrayLike) -> Thresholds:
    """Thresholds for scores of the validation part.

    `scores` is float, (n,), P(defective), 0 to 1; `defective` is bool, (n,). `reject_at` lies
    midway between the two neighbouring scores where the share of defects caught less the share
    of good parts rejected (Youden's J) is largest; of equals, the lowest. `review_from` is the
    largest score, not above it, from which on at least 95 % of the defects lie.
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
    reject_at = _youden(defects, good)
    needed = -(-CAUGHT_PERCENT * len(defects) // 100)
    review_from = min(float(defects[-needed]), reject_at)
    caught = int((defects >= review_from).sum())
    return Thresholds(
        reject_at=reject_at,
        review_from=review_from,
        chosen=(
            f"on {len(good)} good and {len(defects)} defective validation pictures that were not "
            f"trained on: reject_at by Youden's J, review_from so that {caught} of the "
            f"{len(defects)} defects do not pass"
        ),
    )


def _youden(defects: NDArray[np.float64], good: NDArray[np.float64]) -> float:
    distinct = np.unique(np.concatenate([defects, good]))
    if len(distinct) == 1:
        return float(distinct[0])  # the model tells nothing apart: everything fails, nothing passes
    caught = len(defects) - np.searchsorted(defects, distinct[1:], side="left")
    rejected = len(good) - np.searchsorted(good, distinct[1:], side="left")
    # In whole numbers, so that equals are equal: J times both counts.
    best = int((caught * len(good) - rejected * len(defects)).argmax())
    below, above = float(distinct[best]), float(distinct[best + 1])
    middle = below + (above - below) / 2
    return middle if middle > below else above

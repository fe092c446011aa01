"""Ranking quality from scores: AUROC, average precision and their curves."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.core.errors import DatasetError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def checked_arrays(scores: ArrayLike, defective: ArrayLike) -> tuple[Floats, Bools]:
    """Scores and labels as arrays of one length, float64 and bool, (n,).

    Raises DatasetError when good or defective pictures are missing.
    """
    values, bad = np.asarray(scores, np.float64), np.asarray(defective, np.bool_)
    if values.shape != bad.shape or values.ndim != 1:
        raise ValueError(f"scores {values.shape} and defective {bad.shape} must be one-dimensional")
    if not bad.any() or bad.all():
        raise DatasetError(
            f"{int(bad.sum())} defective pictures in {len(bad)}: figures need good and defective "
            "ones; add the missing kind to this set"
        )
    return values, bad


def auroc(scores: ArrayLike, defective: ArrayLike) -> float:
    """The probability that a defective picture scores above a good one; ties count half.

    `scores` is float, (n,), higher for worse; `defective` is bool, (n,).
    Raises DatasetError when either kind is missing.
    """
    values, bad = checked_arrays(scores, defective)
    return float(placements(values, bad)[bad].mean())


def average_precision(scores: ArrayLike, defective: ArrayLike) -> float:
    """The mean precision at the score of each defect.

    This is the step-wise area under the precision-recall curve, without interpolation. It depends
    on the share of defects in the set. Arguments and errors as `auroc`.
    """
    values, bad = checked_arrays(scores, defective)
    caught, called = _at_or_above(values, bad)
    return float((caught / called)[bad].mean())


def false_rejects_at(scores: ArrayLike, defective: ArrayLike, recall: float) -> float:
    """The share of good pictures, 0 to 1, at or above the line that catches `recall`.

    `recall` is above 0, at most 1. The line is the highest one that catches at least that share
    of the defects. It is fitted to these scores, so the figure compares networks; a threshold
    from other parts cannot promise it. Arguments and errors as `auroc`.
    """
    values, bad = checked_arrays(scores, defective)
    defects = np.sort(values[bad])[::-1]
    line = defects[max(0, math.ceil(recall * len(defects) - 1e-9) - 1)]
    return float(np.mean(values[~bad] >= line))


def placements(values: Floats, bad: Bools) -> Floats:
    """For each picture the share of the other kind that it ranks correctly, (n,).

    Ties count half. The mean over either kind is the AUROC (DeLong, DeLong and Clarke-Pearson
    1988, eq. 4-5).
    """
    defects, good = np.sort(values[bad]), np.sort(values[~bad])
    found = np.empty(len(values))
    below = np.searchsorted(good, values[bad], "left") + np.searchsorted(good, values[bad], "right")
    found[bad] = below / 2 / len(good)
    worse = np.searchsorted(defects, values[~bad], "left")
    worse = worse + np.searchsorted(defects, values[~bad], "right")
    found[~bad] = 1 - worse / 2 / len(defects)
    return found


def precision_influence(values: Floats, bad: Bools) -> Floats:
    """The first-order change of average precision by one more copy of each picture, (n,).

    This is the derivative of the weighted AP by the picture's weight. It has the picture's own
    term and its effect on the precision of every defect that scores no higher.
    """
    caught, called = _at_or_above(values, bad)
    precision = caught / called
    mean, count = precision[bad].mean(), int(bad.sum())
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    last = np.searchsorted(ordered, values, "right")  # pictures that score no higher
    share = np.concatenate([[0.0], np.cumsum((bad / called)[order])])[last]
    lost = np.concatenate([[0.0], np.cumsum((bad * precision / called)[order])])[last]
    return np.asarray((bad * (precision - mean) + bad * share - lost) / count, np.float64)


@dataclass(frozen=True, slots=True)
class Curves:
    """ROC and precision-recall values; each array is (k,).

    Scores from `line` up count as defective. `line` falls, so `recall` (defects caught) and
    `false_rejects` (good parts called defective) rise from the first entry, without any, to 1.
    """

    line: Floats
    recall: Floats
    false_rejects: Floats
    precision: Floats


def curves(scores: ArrayLike, defective: ArrayLike) -> Curves:
    """The ROC and the precision-recall curve in one. Arguments and errors as `auroc`."""
    values, bad = checked_arrays(scores, defective)
    lines = np.unique(values)[::-1]
    defects, good = np.sort(values[bad]), np.sort(values[~bad])
    caught = len(defects) - np.searchsorted(defects, lines, "left")
    wrong = len(good) - np.searchsorted(good, lines, "left")
    precision = caught / (caught + wrong)
    return Curves(
        line=np.concatenate([[np.inf], lines]),
        recall=np.concatenate([[0.0], caught / len(defects)]),
        false_rejects=np.concatenate([[0.0], wrong / len(good)]),
        precision=np.concatenate([[precision[0]], precision]),
    )


def _at_or_above(values: Floats, bad: Bools) -> tuple[Floats, Floats]:
    """For each picture the number of defects, and of pictures, that score at least as high."""
    defects, ordered = np.sort(values[bad]), np.sort(values)
    caught = len(defects) - np.searchsorted(defects, values, "left")
    called = len(values) - np.searchsorted(ordered, values, "left")
    return caught.astype(np.float64), called.astype(np.float64)

"""Labels that the other pictures speak against: out-of-fold, so that no picture vouches for itself.

A smooth judge (logistic regression on a Gaussian kernel of the features) is trained on the other
parts and asked for each picture; parts never stand on both sides of a fold. What copies of the same
part are labelled is evidence of its own, and the strongest there is.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.audit.findings import SuspectedMislabel
from trainer.core import optional_import

Floats = NDArray[np.float64]

FOLDS = 5
CLIP = 6.0  # standard deviations: one wild number must not decide
LANDMARKS = 800  # pictures that the others are likened to: beyond these little is won
BLOCK = 1024
SHRINK = 0.1  # ridge, in pictures' worth of evidence a landmark
LOT = 12  # pictures: a larger group is a lot or a board, and its parts may differ
STEPS = 60
FEW = 10  # pictures of a class
COPY_WEIGHT = 1.5  # log-odds that each copy of the part adds to its own label
DOUBTED_BELOW = 0.15
MOST_NAMED = 0.05  # of the set: a list longer than this is not read
FIRST = 20


def rank_labels(
    features: NDArray[np.float32],
    labels: Sequence[str],
    groups: Sequence[str],
    duplicates: Sequence[Sequence[int]],
    files: Sequence[str],
) -> list[SuspectedMislabel]:
    """Every picture by how little speaks for its label, the most doubtful first.

    `features` is float32, (n, d); `groups` names the part of each picture, or its lot; `duplicates`
    lists the rows of the copies of each. Classes of fewer than 10 pictures are left out.
    """
    names = sorted(label for label, count in Counter(labels).items() if count >= FEW)
    size = Counter(groups)
    parts = [
        group if size[group] <= LOT else f"{group}/{file}" for group, file in zip(groups, files)
    ]
    if len(names) < 2 or len(set(parts)) < FOLDS:
        return []
    class_numbers = np.array([names.index(label) if label in names else -1 for label in labels])
    odds = out_of_fold_logits(
        kernel_features(np.asarray(features, np.float64)), class_numbers, parts, len(names)
    )
    voted = _votes(class_numbers, duplicates, len(names))
    total = odds + COPY_WEIGHT * voted
    total -= total.max(axis=1, keepdims=True)
    shares = np.exp(total) / np.exp(total).sum(axis=1, keepdims=True)
    found = []
    for row in np.flatnonzero(class_numbers >= 0).tolist():
        given = int(class_numbers[row])
        likely = int(shares[row].argmax())
        against = float(voted[row].sum() - voted[row, given])
        why = "unlike the other pictures of its class"
        if against > voted[row, given]:
            why = f"{against:.0f} copies of the same part have another label"
        found.append(
            SuspectedMislabel(
                files[row], labels[row], names[likely], float(shares[row, given]), why
            )
        )
    return sorted(found, key=lambda doubt: (doubt.probability, doubt.file))


def suspected_mislabels(ranking: Sequence[SuspectedMislabel]) -> list[SuspectedMislabel]:
    """The head of the ranking that is worth a person's look."""
    most = max(FIRST, int(MOST_NAMED * len(ranking)))
    doubtful = [
        one for one in ranking if one.probability < DOUBTED_BELOW and one.likely != one.label
    ]
    return doubtful[:most]


def kernel_features(features: Floats) -> NDArray[np.float32]:
    """How alike each picture is to the landmarks, in axes that keep their likeness: float32,
    (n, k), k at most 800.

    Nyström's approximation of a Gaussian kernel (Williams and Seeger, 2001), as wide as pictures
    usually lie apart; from `features`, float, (n, d). No label is looked at.
    """
    n = len(features)
    known = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    known = np.clip(known, -CLIP, CLIP)
    chosen = np.random.default_rng(0).choice(n, min(n, LANDMARKS), replace=False)
    marks = known[np.sort(chosen)]
    between = _apart(marks, marks)
    width = float(np.median(between)) + 1e-6
    strengths, axes = np.linalg.eigh(np.exp(-between / width))
    kept = strengths > 1e-6 * strengths[-1]
    unit = axes[:, kept] / np.sqrt(strengths[kept])
    found = np.empty((n, unit.shape[1]), np.float32)
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        found[rows] = np.exp(-_apart(known[rows], marks) / width) @ unit
    return found


def _apart(some: Floats, others: Floats) -> Floats:
    """Squared distances: float, (n, m)."""
    square = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None]
    return np.asarray(np.maximum(square - 2 * some @ others.T, 0))


def out_of_fold_logits(
    features: NDArray[np.floating], classes: NDArray[np.int64], groups: Sequence[str], count: int
) -> Floats:
    """Logits, float, (n, count), each from a judge that has not seen the picture's part."""
    odds = np.zeros((len(features), count))
    folds = _folds(classes, groups)
    for fold in range(FOLDS):
        inside, outside = (folds != fold) & (classes >= 0), folds == fold
        if len(np.unique(classes[inside])) < count:
            continue
        odds[outside] = _judge(features[inside], classes[inside], count)(features[outside])
    return odds


def _judge(
    known: NDArray[np.floating], classes: NDArray[np.int64], count: int
) -> Callable[[NDArray[np.floating]], Floats]:
    """Balanced logistic regression with a ridge, as a function from features to logits."""
    optimize = optional_import("scipy.optimize")
    n, width = known.shape
    weights = (n / count / np.bincount(classes, minlength=count))[classes]
    truth = np.eye(count)[classes]
    design = np.hstack([known, np.ones((n, 1), known.dtype)])

    def loss(flat: Floats) -> tuple[float, Floats]:
        kernel = flat.reshape(width + 1, count)
        logits = design @ kernel
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        shares /= shares.sum(axis=1, keepdims=True)
        value = -(weights * np.log(shares[np.arange(n), classes] + 1e-12)).sum()
        slope = design.T @ (weights[:, None] * (shares - truth))
        shrunk = SHRINK * kernel
        shrunk[-1] = 0
        return float(value + (shrunk * kernel).sum() / 2), (slope + shrunk).ravel()

    start = np.zeros((width + 1) * count)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    kernel = np.asarray(found.x).reshape(width + 1, count)
    return lambda asked: np.asarray(asked @ kernel[:-1] + kernel[-1], np.float64)


def _folds(classes: NDArray[np.int64], groups: Sequence[str]) -> NDArray[np.int64]:
    """Whole parts dealt to the folds, largest first, to where there are fewest of their class."""
    rng = np.random.default_rng(0)
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    order = sorted(members.values(), key=lambda its: (-len(its), rng.random()))
    load = np.zeros((FOLDS, int(classes.max()) + 2))
    folds = np.zeros(len(classes), np.int64)
    for its in order:
        counts = np.bincount(classes[its] + 1, minlength=load.shape[1])
        fold = int((load * counts).sum(axis=1).argmin())
        load[fold] += counts
        folds[its] = fold
    return folds


def _votes(classes: NDArray[np.int64], duplicates: Sequence[Sequence[int]], count: int) -> Floats:
    votes = np.zeros((len(classes), count))
    for row, its in enumerate(duplicates):
        for duplicate in its:
            if classes[duplicate] >= 0:
                votes[row, classes[duplicate]] += 1
    return votes

"""Finds labels that the other pictures contradict, with out-of-fold predictions.

A smooth classifier (logistic regression on a Gaussian kernel of the features) predicts each picture
from the other parts; a part never stands on both sides of a fold. The labels of copies of the same
part are separate evidence, and the strongest.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.audit.findings import SuspectedMislabel
from trainer.core import optional_import

Floats = NDArray[np.float64]

FOLDS = 5
MAX_DEVIATIONS = 6.0  # features are clipped here, so that one outlier does not decide
MAX_LANDMARKS = 800  # pictures to which the others are compared: more gain little
BLOCK_ROWS = 1024
RIDGE = 0.1  # in pictures' worth of evidence a landmark
MAX_PART_PICTURES = 12  # a larger group is a lot or a board, and its parts may differ
MAX_ITERATIONS = 60
MIN_CLASS_PICTURES = 10
COPY_WEIGHT = 1.5  # log-odds that each copy of the part adds to its label
MAX_DOUBTED_PROBABILITY = 0.15
MAX_LISTED_SHARE = 0.05  # of the set: people do not read a longer list
MIN_LISTED = 20


def rank_labels(
    features: NDArray[np.float32],
    labels: Sequence[str],
    groups: Sequence[str],
    duplicates: Sequence[Sequence[int]],
    files: Sequence[str],
) -> list[SuspectedMislabel]:
    """All pictures by the probability of their label, the most doubtful first.

    - `features`: float32, (n, d).
    - `groups`: the part, or the lot, of each picture.
    - `duplicates`: for each picture the rows of its copies.

    Classes of fewer than 10 pictures are left out.
    """
    names = sorted(label for label, count in Counter(labels).items() if count >= MIN_CLASS_PICTURES)
    size = Counter(groups)
    parts = [
        group if size[group] <= MAX_PART_PICTURES else f"{group}/{file}"
        for group, file in zip(groups, files)
    ]
    if len(names) < 2 or len(set(parts)) < FOLDS:
        return []
    class_numbers = np.array([names.index(label) if label in names else -1 for label in labels])
    logits = out_of_fold_logits(
        kernel_features(np.asarray(features, np.float64)), class_numbers, parts, len(names)
    )
    votes = _votes(class_numbers, duplicates, len(names))
    total = logits + COPY_WEIGHT * votes
    total -= total.max(axis=1, keepdims=True)
    shares = np.exp(total) / np.exp(total).sum(axis=1, keepdims=True)
    found = []
    for row in np.flatnonzero(class_numbers >= 0).tolist():
        given = int(class_numbers[row])
        likely = int(shares[row].argmax())
        against = float(votes[row].sum() - votes[row, given])
        why = "unlike the other pictures of its class"
        if against > votes[row, given]:
            why = f"{against:.0f} copies of the same part have another label"
        found.append(
            SuspectedMislabel(
                files[row], labels[row], names[likely], float(shares[row, given]), why
            )
        )
    return sorted(found, key=lambda doubt: (doubt.probability, doubt.file))


def suspected_mislabels(ranking: Sequence[SuspectedMislabel]) -> list[SuspectedMislabel]:
    """The most doubtful labels of the ranking, few enough for a person to check."""
    max_listed = max(MIN_LISTED, int(MAX_LISTED_SHARE * len(ranking)))
    doubtful = [
        one
        for one in ranking
        if one.probability < MAX_DOUBTED_PROBABILITY and one.likely != one.label
    ]
    return doubtful[:max_listed]


def kernel_features(features: Floats) -> NDArray[np.float32]:
    """Kernel features from the similarity to landmarks: float32, (n, k), k at most 800.

    Nyström's approximation of a Gaussian kernel (Williams and Seeger, 2001). Its width is the
    median distance of the landmarks. `features` is float, (n, d). Uses no labels.
    """
    n = len(features)
    known = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    known = np.clip(known, -MAX_DEVIATIONS, MAX_DEVIATIONS)
    chosen = np.random.default_rng(0).choice(n, min(n, MAX_LANDMARKS), replace=False)
    landmarks = known[np.sort(chosen)]
    distances = _squared_distances(landmarks, landmarks)
    width = float(np.median(distances)) + 1e-6
    strengths, axes = np.linalg.eigh(np.exp(-distances / width))
    kept = strengths > 1e-6 * strengths[-1]
    unit = axes[:, kept] / np.sqrt(strengths[kept])
    found = np.empty((n, unit.shape[1]), np.float32)
    for start in range(0, n, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        found[rows] = np.exp(-_squared_distances(known[rows], landmarks) / width) @ unit
    return found


def _squared_distances(some: Floats, others: Floats) -> Floats:
    """Squared distances: float, (n, m)."""
    square = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None]
    return np.asarray(np.maximum(square - 2 * some @ others.T, 0))


def out_of_fold_logits(
    features: NDArray[np.floating], classes: NDArray[np.int64], groups: Sequence[str], count: int
) -> Floats:
    """Logits, float, (n, count), each from a classifier that has not seen the picture's part."""
    logits = np.zeros((len(features), count))
    folds = _folds(classes, groups)
    for fold in range(FOLDS):
        inside, outside = (folds != fold) & (classes >= 0), folds == fold
        if len(np.unique(classes[inside])) < count:
            continue
        classify = _fit_classifier(features[inside], classes[inside], count)
        logits[outside] = classify(features[outside])
    return logits


def _fit_classifier(
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
        shrunk = RIDGE * kernel
        shrunk[-1] = 0
        return float(value + (shrunk * kernel).sum() / 2), (slope + shrunk).ravel()

    start = np.zeros((width + 1) * count)
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS}
    )
    kernel = np.asarray(found.x).reshape(width + 1, count)
    return lambda rows: np.asarray(rows @ kernel[:-1] + kernel[-1], np.float64)


def _folds(classes: NDArray[np.int64], groups: Sequence[str]) -> NDArray[np.int64]:
    """The fold of each row. Whole parts, largest first, go where their class is rarest."""
    rng = np.random.default_rng(0)
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    order = sorted(members.values(), key=lambda rows: (-len(rows), rng.random()))
    load = np.zeros((FOLDS, int(classes.max()) + 2))
    folds = np.zeros(len(classes), np.int64)
    for rows in order:
        counts = np.bincount(classes[rows] + 1, minlength=load.shape[1])
        fold = int((load * counts).sum(axis=1).argmin())
        load[fold] += counts
        folds[rows] = fold
    return folds


def _votes(classes: NDArray[np.int64], duplicates: Sequence[Sequence[int]], count: int) -> Floats:
    votes = np.zeros((len(classes), count))
    for row, copies in enumerate(duplicates):
        for duplicate in copies:
            if classes[duplicate] >= 0:
                votes[row, classes[duplicate]] += 1
    return votes

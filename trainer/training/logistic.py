"""Logistic regression on features: fits the head of a network with fixed weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.core import optional_import
from trainer.evaluation import auroc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STRENGTHS = tuple(10.0**power for power in (-4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0))
FOLDS = 4


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Logits are ((x - mean) / deviation) @ kernel + bias.

    `mean` and `deviation` are (features,), `kernel` is (features, classes), `bias` is (classes,).
    """

    mean: Floats
    deviation: Floats
    kernel: Floats
    bias: Floats

    def logits(self, features: Floats) -> Floats:
        """Logits, (n, classes), of features, (n, features)."""
        return np.asarray(((features - self.mean) / self.deviation) @ self.kernel + self.bias)


def fit_logistic(
    features: Floats, classes: Ints, groups: Ints, count: int, seed: int
) -> tuple[LinearHead, float, float]:
    """The head, its strength C from cross-validation, and its AUROC there.

    `features` is float, (n, features); `classes` is int, (n,), below `count`, 0 is `ok`; `groups`
    is int, (n,): a group is never on both sides of a fold. Classes have equal weight.
    """
    features = np.asarray(features, np.float64)
    folds = _folds(classes, groups, seed)
    found = []
    for strength in STRENGTHS:
        scores, scored = np.zeros(len(classes)), np.zeros(len(classes), np.bool_)
        for fold in np.unique(folds):
            inside, outside = folds != fold, folds == fold
            if len(np.unique(classes[inside])) < count:
                continue
            logits = _fit(features[inside], classes[inside], count, strength).logits(
                features[outside]
            )
            # Ranks within a fold: the scores of different models do not compare.
            scores[outside] = _defective(logits).argsort().argsort() / max(1, outside.sum())
            scored |= outside
        bad = classes > 0
        usable = scored.any() and bad[scored].any() and not bad[scored].all()
        found.append(auroc(scores[scored], bad[scored]) if usable else 0.5)
    best = int(np.argmax(np.round(found, 4)))  # of equals the stronger regularisation
    return _fit(features, classes, count, STRENGTHS[best]), STRENGTHS[best], float(found[best])


def _defective(logits: Floats) -> Floats:
    """A number that rises with P(defective)."""
    return np.asarray(np.logaddexp.reduce(logits[:, 1:], axis=1) - logits[:, 0])


def _folds(classes: Ints, groups: Ints, seed: int) -> Ints:
    """A fold, 0 to 3, for each picture: whole groups, each class spread evenly."""
    rng = np.random.default_rng(seed)
    names, rows = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(classes.max()) + 1))
    np.add.at(counts, (rows, classes), 1)
    share = counts / counts.sum(axis=0)
    order = rng.permutation(len(names))
    order = order[np.argsort(-share[order].sum(axis=1), kind="stable")]
    held = np.zeros((FOLDS, counts.shape[1]))
    fold_of = np.zeros(len(names), np.int64)
    for group in order:
        cost = ((held + share[group]) ** 2 - held**2).sum(axis=1)
        fold_of[group] = int(np.argmin(cost))
        held[fold_of[group]] += share[group]
    return np.asarray(fold_of[rows], np.int64)


def _fit(features: Floats, classes: Ints, count: int, strength: float) -> LinearHead:
    minimise = optional_import("scipy.optimize").minimize
    mean = features.mean(axis=0)
    deviation = np.maximum(features.std(axis=0), 1e-3)
    x = (features - mean) / deviation
    width = x.shape[1]
    present = np.maximum(np.bincount(classes, minlength=count), 1)
    weight = (len(classes) / (count * present))[classes]
    truth = np.eye(count)[classes]

    def loss(flat: Any) -> tuple[float, Any]:
        kernel, bias = flat[: width * count].reshape(width, count), flat[width * count :]
        logits = x @ kernel + bias
        logits -= logits.max(axis=1, keepdims=True)
        total = np.exp(logits).sum(axis=1)
        cross_entropy = np.log(total) - logits[np.arange(len(classes)), classes]
        gradient = (np.exp(logits) / total[:, None] - truth) * weight[:, None]
        value = float((weight * cross_entropy).sum() * strength + 0.5 * (kernel**2).sum())
        return value, np.concatenate(
            [(strength * (x.T @ gradient) + kernel).ravel(), strength * gradient.sum(axis=0)]
        )

    start = np.zeros(width * count + count)
    flat = minimise(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return LinearHead(
        mean, deviation, flat[: width * count].reshape(width, count), flat[width * count :]
    )

"""Fits the head again, on int8 features, to compensate for the quantisation of the features.

The training fitted the head on float features. int8 features have errors, and some are the same in
every picture. The new head approximates the logits of the float model; it does not use labels,
because the converted model must judge like the tested one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converter.loading import DenseHead
from converter.quantization.quantization_schemes import BuiltModel, features_of, with_head
from converter.tflite import Runner, with_joined_outputs
from edge.core.errors import ModelError

REGULARIZATIONS = (10.0, 1.0, 0.1, 0.01, 0.001)
# The new head is taken only if it reduces the error on the validation set at least to this share.
MAX_ERROR_RATIO = 0.95
MIN_ERROR = 1e-3  # RMS of logits: a head with a smaller error stays

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FloatLogits:
    """Pictures, uint8, (n, height, width, channels), with the float model's logits, (n, labels)."""

    pictures: NDArray[np.uint8]
    logits: Floats


def refit_head(
    built_model: BuiltModel,
    head: DenseHead,
    train: FloatLogits,
    validation: FloatLogits,
    runner: Runner,
) -> BuiltModel:
    """`built_model` with a head fitted on the int8 features of `train`, or unchanged.

    `validation` chooses the regularization towards the old head, and decides whether the new head
    is better. Raises ModelError when the body cannot be run.
    """
    if built_model.body is None:
        raise ModelError(f"{built_model.scheme}: has no float head to fit")
    body = with_joined_outputs(built_model.body)

    def features(scored: FloatLogits) -> Floats:
        rows, _ = runner.rows(body, scored.pictures, built_model.scheme)
        return features_of(rows.astype(np.float64), built_model)

    x, validation_features = features(train), features(validation)
    before = logit_error(head.logits(validation_features), validation.logits)
    if before < MIN_ERROR:
        return built_model
    best, best_error = None, MAX_ERROR_RATIO * before
    for regularization in REGULARIZATIONS:
        candidate = _fit(x, train.logits, head, regularization)
        error = logit_error(candidate.logits(validation_features), validation.logits)
        if error < best_error:
            best, best_error = candidate, error
    return built_model if best is None else with_head(built_model, best)


def logit_error(logits: Floats, target: Floats) -> float:
    """RMS difference of logits, (n, labels), without the part that all classes share."""
    difference = logits - target
    difference = difference - difference.mean(axis=1, keepdims=True)
    return float(np.sqrt(np.mean(difference**2)))


def _fit(x: Floats, target: Floats, head: DenseHead, regularization: float) -> DenseHead:
    """Ridge regression of the old head's residual on standardised features."""
    mean = x.mean(axis=0)
    spread = np.maximum(x.std(axis=0), 1e-6)
    z = (x - mean) / spread
    residual = target - head.logits(x)
    offset = residual.mean(axis=0)
    # Solve for features or for pictures, whichever are fewer: the result is the same.
    strength = regularization * len(x)
    if z.shape[1] <= len(z):
        step = np.linalg.solve(z.T @ z + strength * np.eye(z.shape[1]), z.T @ (residual - offset))
    else:
        step = z.T @ np.linalg.solve(z @ z.T + strength * np.eye(len(z)), residual - offset)
    change = step / spread[:, None]
    return DenseHead(
        (head.weights + change).astype(np.float32),
        (head.bias + offset - mean @ change).astype(np.float32),
    )

"""A head fitted on the int8 features, so that it takes back what quantising did to them.

The float head was fitted on float features. Behind int8 ones it carries their errors, some of
which are the same in every picture. The fitted head gives the float model's own logits as nearly
as the int8 features allow: labels are not asked, since the model that was tested is the one to be
kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converter.loading import DenseHead
from converter.quantization.quantization_schemes import BuiltModel, features_of, with_head
from converter.tflite import Runner, with_joined_outputs
from edge.core.errors import ModelError

REGULARIZATIONS = (10.0, 1.0, 0.1, 0.01, 0.001)
# A fitted head that is no better than this on parts it has not seen is not worth a difference.
GAIN = 0.95
MIN_ERROR = 1e-3  # RMS of logits: a head that is no farther off needs no other

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
    """`built_model` with a head fitted on its features of `train`, or as it is.

    The restraint towards the old head is chosen on `validation`, and the new head is taken only
    when it comes nearer there to the float model. Raises ModelError when the body cannot be run.
    """
    if built_model.body is None:
        raise ModelError(f"{built_model.scheme}: has no float head to be fitted")
    body = with_joined_outputs(built_model.body)

    def features(seen: FloatLogits) -> Floats:
        rows, _ = runner.rows(body, seen.pictures, built_model.scheme)
        return features_of(rows.astype(np.float64), built_model)

    x, held_out = features(train), features(validation)
    before = logit_error(head.logits(held_out), validation.logits)
    if before < MIN_ERROR:
        return built_model
    best, least = None, GAIN * before
    for regularization in REGULARIZATIONS:
        candidate = _fit(x, train.logits, head, regularization)
        off = logit_error(candidate.logits(held_out), validation.logits)
        if off < least:
            best, least = candidate, off
    return built_model if best is None else with_head(built_model, best)


def logit_error(logits: Floats, wanted: Floats) -> float:
    """RMS difference of logits, (n, labels), in what matters: their differences among classes."""
    apart = logits - wanted
    apart = apart - apart.mean(axis=1, keepdims=True)
    return float(np.sqrt(np.mean(apart**2)))


def _fit(x: Floats, wanted: Floats, head: DenseHead, regularization: float) -> DenseHead:
    """Ridge regression of what the old head misses, on standardised features."""
    mean = x.mean(axis=0)
    spread = np.maximum(x.std(axis=0), 1e-6)
    z = (x - mean) / spread
    missed = wanted - head.logits(x)
    offset = missed.mean(axis=0)
    # As many unknowns as features or as pictures, whichever are fewer: both give the same.
    strength = regularization * len(x)
    if z.shape[1] <= len(z):
        step = np.linalg.solve(z.T @ z + strength * np.eye(z.shape[1]), z.T @ (missed - offset))
    else:
        step = z.T @ np.linalg.solve(z @ z.T + strength * np.eye(len(z)), missed - offset)
    change = step / spread[:, None]
    return DenseHead(
        (head.weights + change).astype(np.float32),
        (head.bias + offset - mean @ change).astype(np.float32),
    )

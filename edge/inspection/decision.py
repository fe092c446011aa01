"""Turns a model's outputs into pass, review or fail. A fault never becomes pass."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edge.core.errors import ModelError
from edge.core.record import Model
from edge.core.terms import OutputKind, RuleName
from edge.core.verdict import Outcome


class Thresholds(Model):
    """A score ≥ `reject_at` fails, a score < `review_from` passes, any other is for review."""

    reject_at: Annotated[float, Field(ge=0, le=1)]
    review_from: Annotated[float, Field(ge=0, le=1)]
    chosen: str = ""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.review_from > self.reject_at:
            raise ValueError(
                f"review_from {self.review_from} is above reject_at {self.reject_at}; "
                "a score between them would be both"
            )
        return self


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of one picture. `score` is P(defective), 0 to 1."""

    outcome: Outcome
    score: float
    label: str
    probabilities: dict[str, float]
    reason: str | None


def to_probabilities(
    outputs: NDArray[np.floating], kind: OutputKind, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Class probabilities from a model's raw outputs, over the last axis.

    - `outputs`: float, (..., n), n ≥ 2.
    - Logits are divided by `temperature` before the softmax (Guo et al. 2017, equation 9).
    - Probabilities are raised to 1 / temperature and scaled to a sum of 1. This is the same,
      because their logarithms are logits.

    Raises ModelError for values that are not finite, and for probabilities whose sum is not
    about 1.
    """
    values = np.asarray(outputs, np.float64)
    if not _finite(values):
        raise ModelError(f"the model's output is not finite ({values.tolist()})")
    if kind == "logits":
        z = values / temperature
        if not _finite(z):
            raise ModelError(f"logits {values.tolist()} over temperature {temperature} overflow")
        e = np.exp(z - np.maximum.reduce(z, -1, keepdims=True))
        return np.asarray(e / np.add.reduce(e, -1, keepdims=True))
    total = values.sum(axis=-1, keepdims=True)
    if (values < -1e-6).any() or (np.abs(total - 1) > 0.05).any():
        raise ModelError(
            f"the model's output {values.tolist()} is no set of probabilities; "
            "say `output: logits` for this model"
        )
    if temperature == 1:
        return np.asarray(values / total)
    # Relative to the largest: the sum stays above 0 at any temperature.
    powers = np.clip(values / values.max(axis=-1, keepdims=True), 0.0, 1.0) ** (1.0 / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def row_to_probabilities(
    row: Sequence[float], kind: OutputKind, temperature: float = 1.0
) -> list[float]:
    """`to_probabilities` for one picture's n outputs, equal to the last bits.

    For few numbers NumPy's calls take ten times longer than the sums. Raises ModelError.
    """
    if kind != "logits":
        return list(to_probabilities(np.array(row, np.float64), kind, temperature).tolist())
    z = [value / temperature for value in row]
    if not all(map(math.isfinite, z)):
        return list(to_probabilities(np.array(row, np.float64), kind, temperature).tolist())
    top = max(z)
    e = [math.exp(value - top) for value in z]
    total = math.fsum(e)
    return [value / total for value in e]


def _finite(values: NDArray[np.float64]) -> bool:
    """Whether all values are finite. The sum is a faster test: it is finite only if they are."""
    return math.isfinite(np.add.reduce(values, None)) or bool(np.isfinite(values).all())


def judge(
    probabilities: Sequence[float], labels: tuple[str, ...], ok_label: str, at: Thresholds
) -> Judgement:
    """The verdict on one picture. `probabilities` has n entries, in the order of `labels`.

    score = 1 - P(ok). `label` is the most probable class that agrees with the verdict: a pass is
    always `ok`, and a fail is always a defect. Raises ModelError when P(ok) is NaN.
    """
    by_label = dict(zip(labels, probabilities))
    score = 1.0 - by_label[ok_label]
    if not math.isnan(score):  # `decide` refuses NaN
        score = min(1.0, max(0.0, score))
    outcome = decide(score, at)
    if outcome == "pass":
        label = ok_label
    elif outcome == "fail":
        label = max((name for name in by_label if name != ok_label), key=by_label.__getitem__)
    else:
        label = max(by_label, key=by_label.__getitem__)
    reason = None
    if outcome == "review":
        reason = (
            f"score {score:.4f} lies between review_from {at.review_from:.4f} "
            f"and reject_at {at.reject_at:.4f}"
        )
    return Judgement(outcome, score, label, by_label, reason)


def combine(
    judgements: Sequence[Judgement], rule: RuleName, k: int | None, ok_label: str, at: Thresholds
) -> Judgement:
    """One judgement of a part from its frames' judgements, at least one, in order of capture.

    - `mean`: the mean of the probabilities.
    - `worst`: the frame with the highest score.
    - `k_of_n`: the frame with the k-th highest score; the part fails if at least k frames fail.
    - `single`: the only frame.

    Raises ModelError when a score is NaN, or k is larger than the number of frames.
    """
    for judgement in judgements:
        decide(judgement.score, at)  # NaN has no order, so it is refused before sorting
    if rule == "mean":
        labels = tuple(judgements[0].probabilities)
        table = np.array([[j.probabilities[label] for label in labels] for j in judgements])
        # Rounded: the mean of scores on a threshold must not fall below it.
        return judge(table.mean(axis=0).round(12).tolist(), labels, ok_label, at)
    ranked = sorted(judgements, key=lambda j: j.score, reverse=True)
    place = k if rule == "k_of_n" and k is not None else 1
    if place > len(ranked):
        raise ModelError(f"{place} of {len(ranked)} frames cannot decide; lower trigger.k")
    chosen = ranked[place - 1]
    labels = tuple(chosen.probabilities)
    return judge(list(chosen.probabilities.values()), labels, ok_label, at)


def with_hysteresis(at: Thresholds, before: Outcome | None, by: float) -> Thresholds:
    """The thresholds after the verdict `before`. Hysteresis lowers a reached threshold by `by`, 0
    to 1. It never raises one, so it turns no fail into a pass."""
    if by == 0 or before not in ("review", "fail"):
        return at
    review_from = max(0.0, at.review_from - by)
    reject_at = max(review_from, at.reject_at - by) if before == "fail" else at.reject_at
    return Thresholds(reject_at=reject_at, review_from=review_from, chosen=at.chosen)


def decide(score: float, at: Thresholds) -> Outcome:
    """pass, review or fail. Raises ModelError for NaN and scores outside 0 to 1."""
    if not 0.0 <= score <= 1.0:
        raise ModelError(f"score {score} is not between 0 and 1")
    if score >= at.reject_at:
        return "fail"
    if score >= at.review_from:
        return "review"
    return "pass"

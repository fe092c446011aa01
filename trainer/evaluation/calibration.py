"""Calibration, so that a score of 0.8 means 80 %: temperature and reliability table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainer.core import optional_import
from trainer.evaluation.intervals import Interval, binomial_interval

BINS = 10
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.2, 20.0
_MIN_PROBABILITY = 1e-12


def fit_temperature(probabilities: ArrayLike, classes: ArrayLike) -> float:
    """The temperature that calibrates probabilities (Guo et al. 2017, section 4.2).

    `probabilities` is float, (n, labels), from parts outside the train set; rows sum to 1.
    `classes` is int, (n,), the true column. The temperature minimises the negative log-likelihood
    between 0.2 and 20; above 1 the model was overconfident. Targets are softened as by Platt
    (1999): (k + 1) / (k + 2) for a class seen k times, so that a set without a mistake does not
    prove certainty. With two labels ranks do not change. The result is 1.0 when only one class
    is present.
    """
    predicted, truth = np.asarray(probabilities, np.float64), np.asarray(classes, np.int64)
    seen = np.bincount(truth, minlength=predicted.shape[1])
    if np.count_nonzero(seen) < 2:
        return 1.0
    logs = np.log(np.maximum(predicted, _MIN_PROBABILITY))
    targets = _soft_targets(truth, seen)

    def loss(log_temperature: float) -> float:
        z = logs / np.exp(log_temperature)
        z = z - z.max(axis=1, keepdims=True)
        return float(-(targets * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))).sum())

    found = optional_import("scipy.optimize").minimize_scalar(
        loss, bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)), method="bounded"
    )
    return round(float(np.exp(found.x)), 4)


def _soft_targets(truth: NDArray[np.int64], seen: NDArray[np.int64]) -> NDArray[np.float64]:
    own = (seen + 1) / (seen + 2)
    others = (1 - own) / (len(seen) - 1)
    targets = np.repeat(others[truth][:, None], len(seen), axis=1)
    targets[np.arange(len(truth)), truth] = own[truth]
    return np.asarray(targets, np.float64)


@dataclass(frozen=True, slots=True)
class Bin:
    """The pictures with a score in [low, high): number, mean score, number of defects."""

    low: float
    high: float
    n: int
    defects: int
    mean_score: float
    interval: Interval

    def as_json(self) -> dict[str, Any]:
        """For reports; `interval` is of the share of defects, 95 %."""
        return {
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "defects": self.defects,
            "mean_score": self.mean_score,
            "interval": list(self.interval),
        }


@dataclass(frozen=True, slots=True)
class Reliability:
    """The reliability table; `error` is the expected calibration error, 0 to 1."""

    bins: tuple[Bin, ...]
    error: float

    def as_json(self) -> dict[str, Any]:
        """For `calibration` in inspection.json."""
        return {"expected_error": self.error, "bins": [one.as_json() for one in self.bins]}


def reliability(scores: ArrayLike, defective: ArrayLike) -> Reliability:
    """The reliability table of P(defective) in ten equal bins, without empty ones.

    `scores` is float, (n,), 0 to 1; `defective` is bool, (n,). The error is the mean over
    pictures of the gap between a bin's mean score and its share of defects (Naeini et al. 2015).
    """
    values, bad = np.asarray(scores, np.float64), np.asarray(defective, np.bool_)
    bin_of = np.minimum((values * BINS).astype(np.int64), BINS - 1)
    bins = []
    gap = 0.0
    for at in range(BINS):
        inside = bin_of == at
        n, defects = int(inside.sum()), int(bad[inside].sum())
        if not n:
            continue
        mean = float(values[inside].mean())
        gap += abs(mean * n - defects)
        interval = binomial_interval(defects, n)
        bins.append(Bin(at / BINS, (at + 1) / BINS, n, defects, mean, interval))
    return Reliability(tuple(bins), gap / len(values) if len(values) else 0.0)

"""The temperature calibrates scores, and the reliability table shows their error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.inspection.decision import to_probabilities
from trainer.evaluation.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    fit_temperature,
    reliability,
)

pytestmark = pytest.mark.usefixtures("require_train")


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(true: float) -> None:
    """The fit recovers the factor by which logits are too large."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (6000, 3))
    calibrated = to_probabilities(logits, "logits")
    classes = (calibrated.cumsum(1) < rng.random((6000, 1))).sum(1)
    overconfident = to_probabilities(logits * true, "logits")
    assert fit_temperature(overconfident, classes) == pytest.approx(true, rel=0.1)


def test_a_set_without_mistakes_does_not_prove_certainty() -> None:
    """Scores of a perfect separation stay below certainty; a single class gives 1."""
    predicted = np.array([[0.9, 0.1]] * 10 + [[0.1, 0.9]] * 10)
    temperature = fit_temperature(predicted, [0] * 10 + [1] * 10)
    assert temperature > MIN_TEMPERATURE
    assert to_probabilities(predicted, "probabilities", temperature).max() < 0.95
    assert fit_temperature(predicted, [0] * 20) == 1.0


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(3, 30))
@settings(max_examples=40, deadline=None)
def test_any_probabilities_give_a_usable_temperature(seed: int, labels: int, n: int) -> None:
    """Zeros, ones and random labels give a temperature within bounds; ranks do not change."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.05] * labels, n)
    temperature = fit_temperature(p, rng.integers(0, labels, n))
    assert MIN_TEMPERATURE * 0.99 <= temperature <= MAX_TEMPERATURE * 1.01
    scaled = to_probabilities(p, "probabilities", temperature)
    order = np.argsort(p[0])
    assert (np.diff(scaled[0][order]) >= -1e-12).all()


def test_temperature_on_probabilities_is_temperature_on_logits() -> None:
    """Probabilities to the power of 1/T equal logits divided by T, in training and on the box."""
    logits = np.random.default_rng(0).normal(0, 3, (20, 4))
    p = to_probabilities(logits, "logits")
    assert to_probabilities(p, "probabilities", 2.5) == pytest.approx(
        to_probabilities(logits, "logits", 2.5)
    )


def test_the_table_counts_every_picture_once() -> None:
    """Bins hold all pictures; calibrated scores have a small error, overconfident ones a large."""
    rng = np.random.default_rng(0)
    scores = rng.random(5000)
    bad = rng.random(5000) < scores
    table = reliability(scores, bad)
    assert sum(one.n for one in table.bins) == 5000
    assert sum(one.defects for one in table.bins) == int(bad.sum())
    assert table.error < 0.03
    assert reliability(np.where(scores > 0.5, 0.99, 0.01), bad).error > 0.2
    assert reliability([1.0], [True]).bins[0].high == 1.0

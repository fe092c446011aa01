"""Intervals cover the truth, and pictures of one part are not independent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.interval_coverage import CASES, covered
from trainer.evaluation.curves import auroc, average_precision, curves, precision_influence
from trainer.evaluation.effective_sample_size import effective_sample_size, intraclass_correlation
from trainer.evaluation.intervals import (
    auroc_gain,
    auroc_interval,
    average_precision_interval,
    upper_bound,
)

pytestmark = pytest.mark.usefixtures("require_train")


def _separate(parts: int, pictures: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    bad = np.repeat(np.arange(2 * parts) % 2 == 1, pictures)
    rng = np.random.default_rng(5)
    scores = bad * 0.6 + np.repeat(rng.uniform(0, 0.3, 2 * parts), pictures)
    return scores, bad, [f"p{at}" for at in np.repeat(np.arange(2 * parts), pictures)]


def test_copies_of_a_picture_do_not_narrow_an_interval() -> None:
    """Ten equal pictures a part give the interval of one: the interval is over parts."""
    rng = np.random.default_rng(5)
    bad = np.arange(60) % 2 == 1
    scores = rng.normal(bad * 1.0, 1)
    groups = [f"p{at}" for at in range(60)]
    copies = np.repeat(scores, 10), np.repeat(bad, 10), list(np.repeat(groups, 10))
    for interval in (auroc_interval, average_precision_interval):
        assert interval(*copies) == pytest.approx(interval(scores, bad, groups), abs=1e-6)


def test_a_perfect_figure_on_few_parts_is_not_certain() -> None:
    """The interval of an AUROC of 1.000 is far wider with ten parts than with a hundred."""
    for interval in (auroc_interval, average_precision_interval):
        few, many = interval(*_separate(10)), interval(*_separate(100))
        assert few[1] == many[1] == 1
        assert 0.5 < few[0] < 0.85
        assert 0.94 < many[0] < 1


@pytest.mark.parametrize("case", CASES[:4], ids=str)
def test_intervals_hold(case: tuple[int, int, int, float, float, str]) -> None:
    """Over 200 simulated sets the 95 % intervals cover the truth in at least 93 %."""
    shares = covered(case, sets=200, seed=3)
    assert min(shares.values()) >= 0.93, shares


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_effective_number_lies_between_parts_and_pictures(
    parts: int, pictures: int, seed: int
) -> None:
    """The effective number lies between the number of groups and of pictures."""
    scores = np.random.default_rng(seed).normal(size=parts * pictures)
    groups = [f"p{at // pictures}" for at in range(parts * pictures)]
    assert parts <= effective_sample_size(scores, groups) + 1e-9
    assert effective_sample_size(scores, groups) <= parts * pictures + 1e-9


def test_intraclass_correlation_of_copies_and_of_unrelated_pictures() -> None:
    """Copies give 1, unrelated pictures 0, and a single part 1."""
    assert intraclass_correlation([0.1, 0.1, 0.5, 0.5, 0.9, 0.9], list("aabbcc")) == pytest.approx(
        1
    )
    assert intraclass_correlation([0.1, 0.2, 0.3], list("abc")) == 0
    assert intraclass_correlation([0.1, 0.2, 0.3], list("aaa")) == 1
    assert effective_sample_size([], []) == 0


def test_average_precision_of_small_examples() -> None:
    """Two defects at ranks 1 and 3 give (1 + 2/3) / 2; ties share the worse precision."""
    assert average_precision([0.9, 0.8, 0.7], [True, False, True]) == pytest.approx(5 / 6)
    assert average_precision([0.5, 0.5], [True, False]) == 0.5


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=25))
@settings(max_examples=40, deadline=None)
def test_the_influence_is_the_derivative(rows: list[tuple[int, bool]]) -> None:
    """The influence equals the change of weighted average precision by a small weight."""
    values = np.array([value for value, _bad in rows], np.float64)
    bad = np.array([bad for _value, bad in rows])
    if not bad.any() or bad.all():
        return

    def weighted(weights: np.ndarray) -> float:
        above = values[None] >= values[:, None]
        precision = (above * weights * bad).sum(1) / (above * weights).sum(1)
        return float((weights * bad * precision).sum() / (weights * bad).sum())

    step = 1e-6
    found = precision_influence(values, bad)
    for at in range(len(rows)):
        moved = np.ones(len(rows))
        moved[at] += step
        slope = (weighted(moved) - weighted(np.ones(len(rows)))) / step
        assert found[at] == pytest.approx(slope, abs=1e-4)


def test_the_curve_encloses_the_auroc() -> None:
    """The trapezoid area under the ROC curve equals the AUROC, with ties."""
    rng = np.random.default_rng(1)
    scores, bad = rng.integers(0, 9, 80), rng.random(80) < 0.4
    found = curves(scores, bad)
    assert np.trapezoid(found.recall, found.false_rejects) == pytest.approx(auroc(scores, bad))
    assert (np.diff(found.recall) >= 0).all()
    assert (found.recall[-1], found.false_rejects[-1]) == (1, 1)


def test_the_upper_bound_without_a_case() -> None:
    """The exact one-sided bound of 0 in 81 is 3.6 %, of 0 in 2,995 it is 0.1 %."""
    assert upper_bound(0, 81) == pytest.approx(0.0363, abs=5e-5)
    assert upper_bound(0, 2995) <= 0.001 < upper_bound(0, 2994)


def test_a_gain_is_paired() -> None:
    """A small, consistent gain on the same pictures is significant; a model gains 0 over itself."""
    rng = np.random.default_rng(4)
    bad = np.arange(200) % 2 == 1
    weak = rng.normal(bad * 1.0, 1)
    strong = weak + bad * 0.8 + rng.normal(0, 0.1, 200)
    groups = [str(at // 2) for at in range(200)]
    gain, (low, high) = auroc_gain(strong, weak, bad, groups)
    assert 0 < low < gain < high < 1
    assert gain == pytest.approx(auroc(strong, bad) - auroc(weak, bad))
    assert auroc_gain(weak, weak, bad, groups) == (0, (0, 0))

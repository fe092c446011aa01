"""Paired differences of two models on the same pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.inspection import Thresholds
from trainer.evaluation.paired import difference_interval, paired_figures

pytestmark = pytest.mark.usefixtures("require_train")

AT = Thresholds(reject_at=0.6, review_from=0.4)


def draw(parts: int, pictures: int, gain: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    bad = np.repeat(rng.random(parts) < 0.3, pictures)
    bad[:pictures], bad[-pictures:] = True, False
    groups = np.repeat([f"part {at}" for at in range(parts)], pictures)
    noise = np.repeat(rng.normal(size=parts), pictures)
    first, second = (
        1 / (1 + np.exp(-(noise + rng.normal(size=len(bad)) * 0.5 + shift * (bad * 2 - 1))))
        for shift in (0.3, 0.3 + gain)
    )
    return first, second, bad, groups


def test_a_better_model_is_surely_better() -> None:
    first, second, bad, groups = draw(200, 3, 3.0)
    found = {one.name: one for one in paired_figures((first, second), (AT, AT), bad, list(groups))}
    assert found["auroc"].judgement == "surely better"
    assert found["escapes"].judgement == "surely better"
    assert found["escapes"].difference < 0


def test_exchanged_models_give_the_opposite() -> None:
    first, second, bad, groups = draw(60, 2, 1.0)
    there = paired_figures((first, second), (AT, AT), bad, list(groups))
    back = paired_figures((second, first), (AT, AT), bad, list(groups))
    for one, other in zip(there, back):
        assert other.difference == pytest.approx(-one.difference)
        assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]), abs=2e-3)


def test_a_model_is_not_better_than_itself() -> None:
    first, _second, bad, groups = draw(40, 2, 1.0)
    for one in paired_figures((first, first), (AT, AT), bad, list(groups)):
        assert one.difference == 0
        assert one.judgement in ("not surely better", "not surely different")


def test_models_that_agree_on_few_pictures_may_still_differ() -> None:
    """The bootstrap alone would have no width."""
    same = np.zeros(20, np.bool_)
    low, high = difference_interval(same, same, [str(at) for at in range(20)], 20)
    assert low < -0.05
    assert high > 0.05


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=2))
def test_the_interval_contains_the_difference(rows: list[tuple[bool, bool, int]]) -> None:
    first, second = (np.array([row[at] for row in rows]) for at in (0, 1))
    low, high = difference_interval(first, second, [str(row[2]) for row in rows], len(rows))
    assert -1 <= low <= second.mean() - first.mean() <= high <= 1


def test_pictures_of_one_part_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    parts = np.repeat(rng.random(30) < 0.3, 10)
    nothing = np.zeros(300, np.bool_)
    together = difference_interval(nothing, parts, [str(at // 10) for at in range(300)], 30)
    alone = difference_interval(nothing, parts, [str(at) for at in range(300)], 300)
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])


@pytest.mark.slow
def test_the_interval_covers_the_true_difference() -> None:
    """200 test sets of 40 parts; 95 % is asked, and a share of 200 varies by 1.5 points."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        chance = rng.beta(1, 3, (40, 2))
        first, second = (np.repeat(rng.random(40) < chance[:, at] * 0.5, 3) for at in (0, 1))
        low, high = difference_interval(first, second, [str(at // 3) for at in range(120)], 40)
        held += low <= 0 <= high
    assert held >= 180

"""The figures of an evaluation, their intervals, and the thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.errors import DatasetError
from edge.inspection.decision import Thresholds
from trainer.evaluation.curves import auroc, average_precision, false_rejects_at
from trainer.evaluation.intervals import (
    auroc_interval,
    average_precision_interval,
    binomial_interval,
)
from trainer.evaluation.metrics import evaluate
from trainer.evaluation.thresholds import choose_thresholds

# Coarse scores tie heavily, as those of an int8 model do.
judged = st.lists(
    st.tuples(st.integers(0, 12).map(lambda n: n / 12), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({bad for _score, bad in rows}) == 2)


def _columns(rows: list[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [score for score, _bad in rows], [bad for _score, bad in rows]


@given(judged)
def test_auroc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[float, bool]]) -> None:
    """AUROC equals the count over all pairs; ties count half."""
    pairs = [
        1.0 if bad > good else 0.5 if bad == good else 0.0
        for bad, is_bad in rows
        if is_bad
        for good, is_good_bad in rows
        if not is_good_bad
    ]
    assert auroc(*_columns(rows)) == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.usefixtures("require_train")
@given(judged, st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_the_auroc_interval_holds_the_estimate(rows: list[tuple[float, bool]], parts: int) -> None:
    """The interval is ordered, lies in 0 to 1, holds the estimate, and is repeatable."""
    scores, bad = _columns(rows)
    groups = [f"part{at % parts}" for at in range(len(rows))]
    for figure, interval in (
        (auroc, auroc_interval),
        (average_precision, average_precision_interval),
    ):
        low, high = interval(scores, bad, groups)
        assert 0 <= low <= figure(scores, bad) <= high <= 1
        assert (low, high) == interval(scores, bad, groups)


@given(judged, st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_false_rejects_at_a_recall_are_the_fewest_that_reach_it(
    rows: list[tuple[float, bool]], recall: float
) -> None:
    """No line with this recall rejects fewer good parts."""
    scores, bad = (np.array(column) for column in _columns(rows))
    reach = [line for line in scores if np.mean(scores[bad] >= line) >= recall - 1e-9]
    fewest = min(np.mean(scores[~bad] >= line) for line in reach)
    assert false_rejects_at(scores, bad, recall) == pytest.approx(fewest)


def test_figures_need_both_kinds() -> None:
    """AUROC without defects or without good parts is an error."""
    with pytest.raises(DatasetError, match="0 defective pictures in 2"):
        auroc([0.1, 0.2], [False, False])


@pytest.mark.usefixtures("require_train")
class TestBinomial:
    """Exact intervals of rates."""

    @given(st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
    @settings(deadline=None)
    def test_holds_the_estimate(self, case: tuple[int, int]) -> None:
        """The interval holds k / n and lies in 0 to 1."""
        k, n = case
        low, high = binomial_interval(k, n)
        assert 0 <= low <= high <= 1
        assert n == 0 or low <= k / n <= high

    def test_known_values(self) -> None:
        """The intervals equal published Clopper-Pearson limits."""
        assert binomial_interval(0, 100) == pytest.approx((0, 0.03622), abs=1e-5)
        assert binomial_interval(81, 81) == pytest.approx((0.95548, 1), abs=1e-4)
        assert binomial_interval(10, 100) == pytest.approx((0.04900, 0.17622), abs=1e-5)
        assert binomial_interval(0, 0) == (0, 1)

    @pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.93])
    def test_covers_the_truth(self, rate: float) -> None:
        """Over all outcomes, 95 % intervals hold the true rate in at least 95 % of cases."""
        from scipy.stats import binom

        n = 80
        covered = sum(
            float(binom.pmf(k, n, rate))
            for k in range(n + 1)
            if binomial_interval(k, n)[0] <= rate <= binomial_interval(k, n)[1]
        )
        assert covered >= 0.95

    def test_impossible_counts_are_an_error(self) -> None:
        """More cases than pictures are a programming error."""
        with pytest.raises(ValueError, match="3 of 2"):
            binomial_interval(3, 2)


@pytest.mark.usefixtures("require_train")
def test_evaluation_decides_like_the_daemon() -> None:
    """A score equal to a threshold gets the stricter verdict; every picture counts once."""
    judged = evaluate(
        [0.1, 0.3, 0.7, 0.2, 0.69, 0.71, 0.3],
        ["ok", "ok", "ok", "dent", "dent", "crack", "crack"],
        ["a", "a", "b", "c", "c", "d", "d"],
        Thresholds(reject_at=0.7, review_from=0.3),
        "ok",
    )
    assert judged.confusion == {
        "ok": {"pass": 1, "review": 1, "fail": 1},
        "crack": {"pass": 0, "review": 1, "fail": 1},
        "dent": {"pass": 1, "review": 1, "fail": 0},
    }
    assert (judged.n_ok, judged.n_defect, judged.n_groups) == (3, 4, 4)
    assert (judged.escapes.k, judged.escapes.n) == (1, 4)
    assert (judged.false_rejects.k, judged.false_rejects.n) == (1, 3)
    assert (judged.reviews.k, judged.reviews.n) == (3, 7)
    assert judged.escapes.rate == 0.25
    assert {name: (rate.k, rate.n) for name, rate in judged.by_class.items()} == {
        "crack": (0, 2),
        "dent": (1, 2),
    }


@given(judged)
def test_thresholds_catch_95_percent_and_stay_in_range(rows: list[tuple[float, bool]]) -> None:
    """At least 95 % of the validation defects reach `review_from`, which is at most `reject_at`."""
    scores, bad = _columns(rows)
    at = choose_thresholds(scores, bad)
    defects = [score for score, is_bad in rows if is_bad]
    assert 0 <= at.review_from <= at.reject_at <= 1
    assert sum(score >= at.review_from for score in defects) * 100 >= 95 * len(defects)
    assert choose_thresholds(scores[::-1], bad[::-1]) == at


@given(judged)
def test_no_other_line_has_a_larger_youden_index(rows: list[tuple[float, bool]]) -> None:
    """reject_at maximises Youden's J over all lines."""
    scores, bad = map(np.array, _columns(rows))

    def index(line: float) -> float:
        return float((scores[bad] >= line).mean() - (scores[~bad] >= line).mean())

    distinct = np.unique(scores)
    best = max((index(float(line)) for line in distinct[1:]), default=0.0)
    assert index(choose_thresholds(scores, bad).reject_at) == pytest.approx(best)


def test_reject_at_lies_midway() -> None:
    """The line lies midway between separated classes; the sentence has the counts."""
    at = choose_thresholds([0.1, 0.2, 0.6, 0.9], [False, False, True, True])
    assert at.reject_at == pytest.approx(0.4)
    assert at.review_from == at.reject_at
    assert "2 good and 2 defective validation pictures" in at.chosen


def test_scores_that_are_all_equal_let_nothing_pass() -> None:
    """A model with equal scores passes no part."""
    at = choose_thresholds([0.5, 0.5, 0.5], [False, True, True])
    assert (at.review_from, at.reject_at) == (0.5, 0.5)


def test_thresholds_need_both_kinds() -> None:
    """Thresholds without defects are an error."""
    with pytest.raises(DatasetError, match="got 1 and 0"):
        choose_thresholds([0.5], [False])

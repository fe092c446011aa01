"""Thresholds, score and label: the arithmetic of a verdict."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.core.errors import ModelError
from edge.inspection.decision import (
    Judgement,
    Thresholds,
    combine,
    decide,
    judge,
    row_to_probabilities,
    to_probabilities,
    with_hysteresis,
)

AT = Thresholds(reject_at=0.6, review_from=0.4)
FRACTION = st.floats(0, 1)


@pytest.mark.parametrize(
    ("score", "outcome"),
    [
        (0.0, "pass"),
        (math.nextafter(0.4, 0), "pass"),
        (0.4, "review"),
        (math.nextafter(0.6, 0), "review"),
        (0.6, "fail"),
        (1.0, "fail"),
    ],
)
def test_a_score_on_the_threshold_is_beyond_it(score: float, outcome: str) -> None:
    """At exactly review_from a part is for review, at exactly reject_at it fails."""
    assert decide(score, AT) == outcome


@given(FRACTION, FRACTION, FRACTION)
def test_no_score_falls_between(score: float, a: float, b: float) -> None:
    """Every score has one outcome, by the definition of the contract."""
    at = Thresholds(reject_at=max(a, b), review_from=min(a, b))
    expected = "fail" if score >= max(a, b) else "review" if score >= min(a, b) else "pass"
    assert decide(score, at) == expected


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, -0.001, 1.001])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    """A score outside 0 to 1, or none at all, is a fault and not a pass."""
    with pytest.raises(ModelError):
        decide(score, AT)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1])
@pytest.mark.parametrize("key", ["reject_at", "review_from"])
def test_thresholds_are_fractions(key: str, bad: float) -> None:
    """A threshold that is no number between 0 and 1 cannot be made."""
    with pytest.raises(ValueError, match=key):
        Thresholds.read({"reject_at": 0.5, "review_from": 0.5, key: bad})
    wrong: dict[str, Any] = {"reject_at": 0.5, "review_from": 0.5, key: bad}
    with pytest.raises(ValueError, match=key):
        Thresholds(**wrong)


def test_review_lies_below_reject() -> None:
    """review_from above reject_at would make a score both."""
    with pytest.raises(ValueError, match="above reject_at"):
        Thresholds(reject_at=0.4, review_from=0.5)


def test_score_is_one_minus_ok() -> None:
    """The score is 1 - P(ok), wherever ok stands among the labels."""
    p = [0.2, 0.7, 0.1]
    assert judge(p, ("dent", "ok", "rust"), "ok", AT).score == pytest.approx(0.3)
    assert judge(p, ("ok", "dent", "rust"), "ok", AT).score == pytest.approx(0.8)
    assert judge(p, ("good", "dent", "rust"), "good", AT).score == pytest.approx(0.8)


def test_label_never_contradicts_the_verdict() -> None:
    """A part that fails is never labelled ok, one that passes never with a defect."""
    p = [0.4, 0.35, 0.25]
    failed = judge(p, ("ok", "dent", "rust"), "ok", AT)
    assert (failed.outcome, failed.label) == ("fail", "dent")
    lenient = Thresholds(reject_at=0.9, review_from=0.8)
    passed = judge([0.3, 0.7], ("ok", "dent"), "ok", lenient)
    assert (passed.outcome, passed.label) == ("pass", "ok")


def test_review_says_why() -> None:
    """Only a review carries a reason, with score and thresholds in it."""
    labels = ("ok", "dent")
    review = judge([0.5, 0.5], labels, "ok", AT)
    assert review.outcome == "review"
    assert review.reason == "score 0.5000 lies between review_from 0.4000 and reject_at 0.6000"
    assert judge([0.9, 0.1], labels, "ok", AT).reason is None
    assert judge([0.1, 0.9], labels, "ok", AT).reason is None


@pytest.mark.parametrize("p", [[math.nan, 0.5], [math.nan, math.nan]])
def test_probabilities_that_are_none_never_pass(p: list[float]) -> None:
    """NaN as P(ok) is a fault, not a score of 0."""
    with pytest.raises(ModelError):
        judge(p, ("ok", "dent"), "ok", AT)


def test_rounding_past_the_ends_is_no_fault() -> None:
    """P(ok) a rounding error above 1 is a score of 0."""
    assert judge([1 + 1e-12, 0.0], ("ok", "dent"), "ok", AT).score == 0.0


ROW = hnp.arrays(np.float32, st.integers(2, 6), elements=st.floats(-100, 100, width=32))


@pytest.mark.slow
@given(ROW, st.floats(0.05, 20))
def test_logits_become_probabilities(row: np.ndarray, temperature: float) -> None:
    """Softmax of logits over the temperature sums to 1 and keeps the order."""
    p = to_probabilities(row, "logits", temperature)
    assert p.sum() == pytest.approx(1)
    assert (p >= 0).all()
    order = np.argsort(row, kind="stable")
    assert (np.diff(p[order]) >= -1e-12).all()


@pytest.mark.slow
@given(ROW, st.floats(0.05, 20))
def test_one_picture_as_many(row: np.ndarray, temperature: float) -> None:
    """The box computes for one picture what training computes for many."""
    one = row_to_probabilities(row.tolist(), "logits", temperature)
    assert one == pytest.approx(to_probabilities(row, "logits", temperature), rel=1e-13, abs=1e-300)


def test_softmax_by_hand() -> None:
    """Logits 0 and ln 3 are 1/4 and 3/4; at temperature 2, 1 and √3 parts."""
    row = np.array([0.0, math.log(3)])
    assert to_probabilities(row, "logits") == pytest.approx([0.25, 0.75])
    root = math.sqrt(3)
    assert to_probabilities(row, "logits", 2.0) == pytest.approx(
        [1 / (1 + root), root / (1 + root)]
    )


@pytest.mark.slow
@given(hnp.arrays(np.float64, st.integers(2, 6), elements=st.floats(0.01, 1)))
def test_probabilities_are_brought_to_a_sum_of_one(row: np.ndarray) -> None:
    """Int8 probabilities that sum to nearly 1 are brought to 1; far from 1 they are refused."""
    p = row / row.sum()
    assert to_probabilities(p * 1.02, "probabilities") == pytest.approx(p)
    with pytest.raises(ModelError, match="say `output: logits`"):
        to_probabilities(p * 1.2, "probabilities")


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_outputs_that_are_not_finite_are_a_fault(kind: str, bad: float) -> None:
    """NaN and infinity from a model are a fault of the model, whatever its output is."""
    with pytest.raises(ModelError, match="not finite"):
        to_probabilities(np.array([0.3, bad]), kind)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="not finite"):
        row_to_probabilities([0.3, bad], kind)  # type: ignore[arg-type]


@pytest.mark.slow
@given(
    st.lists(st.floats(width=32), min_size=2, max_size=4),
    st.sampled_from(["logits", "probabilities"]),
    st.floats(0, exclude_min=True),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nonsense_never_passes(row: list[float], kind: str, temperature: float) -> None:
    """Any model output gives a ModelError, or a score that is 1 - P(ok) of a sum of 1."""
    labels = ("ok", "a", "b", "c")[: len(row)]
    try:
        p = row_to_probabilities(row, kind, temperature)  # type: ignore[arg-type]
        judged = judge(p, labels, "ok", AT)
    except ModelError:
        return
    assume(judged.outcome == "pass")
    assert sum(judged.probabilities.values()) == pytest.approx(1)
    assert judged.score == pytest.approx(1 - judged.probabilities["ok"])
    assert judged.score < AT.review_from


def of(*scores: float) -> list[Judgement]:
    """Judgements of frames with these scores."""
    return [judge([1 - s, s], ("ok", "dent"), "ok", AT) for s in scores]


@pytest.mark.parametrize(
    ("rule", "k", "scores", "outcome", "score"),
    [
        ("single", None, [0.7], "fail", 0.7),
        ("mean", None, [0.1, 0.2, 0.9], "review", 0.4),
        ("worst", None, [0.1, 0.2, 0.9], "fail", 0.9),
        ("k_of_n", 1, [0.1, 0.2, 0.9], "fail", 0.9),
        ("k_of_n", 2, [0.1, 0.7, 0.9], "fail", 0.7),
        ("k_of_n", 2, [0.1, 0.5, 0.9], "review", 0.5),
        ("k_of_n", 2, [0.1, 0.2, 0.9], "pass", 0.2),
        ("k_of_n", 3, [0.9, 0.7, 0.1], "pass", 0.1),
    ],
)
def test_rules_by_hand(rule: str, k: int, scores: list[float], outcome: str, score: float) -> None:
    """Each rule, on frames with a known verdict."""
    judged = combine(of(*scores), rule, k, "ok", AT)  # type: ignore[arg-type]
    assert judged.outcome == outcome
    assert judged.score == pytest.approx(score)


@given(st.lists(FRACTION, min_size=1, max_size=9), st.data())
def test_k_of_n_fails_when_k_frames_fail(scores: list[float], data: st.DataObject) -> None:
    """By the definition: at least k frames at or above a threshold."""
    k = data.draw(st.integers(1, len(scores)))
    frames = of(*scores)
    failed = sum(j.score >= AT.reject_at for j in frames) >= k
    doubted = sum(j.score >= AT.review_from for j in frames) >= k
    expected = "fail" if failed else "review" if doubted else "pass"
    assert combine(frames, "k_of_n", k, "ok", AT).outcome == expected


@given(st.lists(FRACTION, min_size=1, max_size=9), st.sampled_from(["mean", "worst"]))
def test_no_rule_goes_below_the_best_or_above_the_worst(scores: list[float], rule: str) -> None:
    """A part's score lies between those of its frames, and obeys the thresholds."""
    judged = combine(of(*scores), rule, None, "ok", AT)  # type: ignore[arg-type]
    assert min(scores) - 1e-9 <= judged.score <= max(scores) + 1e-9
    assert judged.outcome == decide(judged.score, AT)


@pytest.mark.parametrize("rule", ["mean", "worst", "k_of_n", "single"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_frame_without_a_score_hides_nowhere(rule: str, place: int) -> None:
    """NaN in any frame is a fault of the part, whatever the rule would have chosen."""
    frames = of(0.1, 0.1, 0.1)
    frames[place] = Judgement("pass", math.nan, "ok", {"ok": math.nan, "dent": math.nan}, None)
    with pytest.raises(ModelError):
        combine(frames, rule, 2 if rule == "k_of_n" else None, "ok", AT)  # type: ignore[arg-type]


def test_more_frames_than_there_are_cannot_decide() -> None:
    """A k above the number of frames is a fault, not a pass."""
    with pytest.raises(ModelError, match="2 of 1 frames cannot decide"):
        combine(of(0.1), "k_of_n", 2, "ok", AT)


@given(FRACTION, st.sampled_from(["pass", "review", "fail", "error", None]), st.floats(0, 0.99))
def test_hysteresis_only_ever_makes_stricter(score: float, before: str, by: float) -> None:
    """With hysteresis no verdict is better than without."""
    order = ["pass", "review", "fail"]
    held = decide(score, with_hysteresis(AT, before, by))  # type: ignore[arg-type]
    assert order.index(held) >= order.index(decide(score, AT))


def test_hysteresis_by_hand() -> None:
    """A fail is left only below reject_at - h, a review only below review_from - h."""
    assert decide(0.56, with_hysteresis(AT, "fail", 0.05)) == "fail"
    assert decide(0.54, with_hysteresis(AT, "fail", 0.05)) == "review"
    assert decide(0.36, with_hysteresis(AT, "review", 0.05)) == "review"
    assert decide(0.56, with_hysteresis(AT, "review", 0.05)) == "review"
    assert decide(0.34, with_hysteresis(AT, "review", 0.05)) == "pass"
    assert decide(0.39, with_hysteresis(AT, "pass", 0.05)) == "pass"
    assert decide(0.39, with_hysteresis(AT, "error", 0.05)) == "pass"

"""The escape and false-reject rates of the line, from the random sample and people's labels."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from edge.plant.estimate import estimate_rates
from edge.plant.estimate_values import Estimate, LabelCounts, LabelledPass
from tests.campaigns.escape_coverage import CASES, REQUIRED, Case, covered

GOOD, BAD = False, True


def looks(rate: float, good: int, bad: int = 0) -> list[LabelledPass]:
    return [LabelledPass(rate, GOOD)] * good + [LabelledPass(rate, BAD)] * bad


def share(found: Estimate) -> tuple[float, float, float]:
    assert found.escapes.share is not None
    return found.escapes.share.rate, found.escapes.share.low, found.escapes.share.high


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(4, 500), st.data())
def test_one_rate_gives_the_exact_interval(n: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, n))
    rate, low, high = share(estimate_rates({0.005: 10_000}, looks(0.005, n - bad, bad)))
    exact = binomtest(bad, n).proportion_ci(0.95, "exact")
    assert rate == pytest.approx(bad / n)
    assert (low, high) == pytest.approx((exact.low, exact.high), rel=1e-6, abs=1e-9)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 100_000), st.integers(0, 60), st.integers(0, 5)),
        min_size=1,
        max_size=6,
    )
)
def test_the_interval_contains_the_estimate(rows: list[tuple[int, int, int]]) -> None:
    rates = [0.001 * (at + 1) for at in range(len(rows))]
    found = estimate_rates(
        {rate: passes for rate, (passes, _, _) in zip(rates, rows)},
        [look for rate, (_, good, bad) in zip(rates, rows) for look in looks(rate, good, bad)],
    )
    if any(good + bad for _, good, bad in rows):
        rate, low, high = share(found)
        assert 0 <= low <= rate <= 1
        assert low <= high <= 1
    else:
        assert found.escapes.share is None
        assert found.missing


def test_the_order_of_the_looks_does_not_matter() -> None:
    mixed = looks(0.01, 90, 2) + looks(0.001, 20, 1)
    passes = {0.01: 9_000, 0.001: 30_000}
    assert estimate_rates(passes, mixed) == estimate_rates(passes, mixed[::-1])


def test_a_look_counts_for_the_passes_of_its_rate() -> None:
    """A defect found at a low rate stands for more passes than one found at a high rate."""
    passes = {0.001: 50_000, 0.05: 50_000}
    low_rate = estimate_rates(passes, looks(0.001, 49, 1) + looks(0.05, 2_500))
    high_rate = estimate_rates(passes, looks(0.001, 50) + looks(0.05, 2_499, 1))
    assert share(low_rate)[0] == pytest.approx(0.5 * 1 / 50)
    assert share(high_rate)[0] == pytest.approx(0.5 * 1 / 2_500)


def test_more_looks_without_a_defect_lower_the_limit() -> None:
    limits = [share(estimate_rates({0.01: 90_000}, looks(0.01, n)))[2] for n in (10, 100, 900)]
    assert limits == sorted(limits, reverse=True)


def test_without_labels_no_number_and_what_is_missing() -> None:
    found = estimate_rates({0.005: 40_000}, [], LabelCounts(100))
    assert found.escapes.share is None
    assert found.false_rejects.share is None
    assert found.as_json()["escape_rate"] is None
    assert any("40,000 passes" in one and "0.5 %" in one for one in found.missing)
    assert any("100 parts failed" in one for one in found.missing)
    assert not any("at most" in line for line in found.sentences())


def test_without_any_verdict() -> None:
    found = estimate_rates({}, [])
    assert found.escapes.share is None
    assert "no part passed" in found.missing[0]


def test_passes_without_sampling_are_named_and_not_estimated() -> None:
    found = estimate_rates({0.0: 12_000, 0.01: 10_000}, looks(0.01, 100))
    assert found.escapes.unsampled == 12_000
    assert found.escapes.passes == 10_000
    assert share(found) == share(estimate_rates({0.01: 10_000}, looks(0.01, 100)))
    assert any("12,000" in one and "archive.pass_sample" in one for one in found.missing)


def test_sampled_passes_nobody_looked_at_count_as_defective_in_the_limit() -> None:
    found = estimate_rates({0.01: 9_000, 0.002: 1_000}, looks(0.01, 400))
    seen = share(estimate_rates({0.01: 9_000}, looks(0.01, 400)))
    assert share(found)[2] == pytest.approx(0.9 * seen[2] + 0.1)
    assert found.escapes.unseen == 1_000
    assert any("1,000 passes" in one and "0.2 %" in one for one in found.missing)


def test_looks_without_passes_are_said_and_do_not_count() -> None:
    found = estimate_rates({0.01: 9_000}, looks(0.01, 400) + looks(0.5, 0, 7))
    assert share(found)[0] == 0
    assert any("7 looks" in one for one in found.missing)


@pytest.mark.parametrize(("good", "bad"), [(100, 0), (400, 1)])
def test_the_goal_is_reached_with_that_many_looks(good: int, bad: int) -> None:
    found = estimate_rates({0.01: 50_000}, looks(0.01, good, bad))
    goal = found.escapes.goal
    assert goal is not None
    assert goal.upper == pytest.approx(share(found)[2] / 2)
    assert f"{goal.looks:,} more looks" in "\n".join(found.sentences())
    if not bad:
        after = share(estimate_rates({0.01: 50_000}, looks(0.01, good + goal.looks)))[2]
        before = share(estimate_rates({0.01: 50_000}, looks(0.01, good + goal.looks - 2)))[2]
        assert after <= goal.upper < before


def test_no_goal_where_the_rate_itself_is_above_it() -> None:
    assert estimate_rates({0.01: 50_000}, looks(0.01, 300, 300)).escapes.goal is None


def test_false_rejects_are_a_share_of_the_good_parts() -> None:
    found = estimate_rates({0.01: 9_800}, looks(0.01, 1_000), LabelCounts(200, 30, 10))
    assert found.false_rejects.share is not None
    # three quarters of 200 fails are good: 150 of 9,800 + 150 good parts
    assert found.false_rejects.share.rate == pytest.approx(150 / 9_950)
    assert found.false_rejects.share.low < 150 / 9_950 < found.false_rejects.share.high


def test_unlabelled_reviews_widen_the_false_rejects_and_are_said() -> None:
    known = estimate_rates(
        {0.01: 900}, looks(0.01, 90), LabelCounts(20, 10, 10), LabelCounts(500, 250, 250)
    )
    unknown = estimate_rates(
        {0.01: 900}, looks(0.01, 90), LabelCounts(20, 10, 10), LabelCounts(500)
    )
    assert known.false_rejects.share is not None
    assert unknown.false_rejects.share is not None
    assert unknown.false_rejects.share.low < known.false_rejects.share.low
    assert any("500 parts went to review" in one for one in unknown.missing)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_the_intervals_contain_the_truth(case: Case) -> None:
    """60 months; the whole campaign has 1,000. A share of 60 varies by 3 points at 93 %."""
    escapes, rejects, _truth = covered(case, 60, seed=7)
    assert escapes.coverage >= REQUIRED - 0.07
    assert rejects.coverage >= REQUIRED - 0.07

"""The probation of a new version: what it sends back, and how often by mistake."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edge.models import ProbationRecord
from edge.models.probation import Probation, Share, chance_of_fewer, chance_of_more

FALSE_RETURNS = 0.01


def shares(most: int) -> st.SearchStrategy[Share]:
    """Any share of up to `most` parts."""
    return st.integers(1, most).flatmap(
        lambda parts: st.builds(Share, st.integers(0, parts), st.just(parts))
    )


@given(shares(3000), shares(500))
@settings(max_examples=300, deadline=None)
def test_the_chances_are_fishers_exact_test(before: Share, now: Share) -> None:
    """As SciPy computes it."""
    total, marked = before.parts + now.parts, before.hits + now.hits
    exact = stats.hypergeom(total, marked, now.parts)
    assert chance_of_more(before, now) == pytest.approx(exact.sf(now.hits - 1), rel=1e-6, abs=1e-14)
    assert chance_of_fewer(before, now) == pytest.approx(exact.cdf(now.hits), rel=1e-6, abs=1e-14)


def sent_back(rng: np.random.Generator, before: dict[str, float], now: dict[str, float]) -> bool:
    """Whether a version with these rates is sent back. One outcome a part, as in verdicts."""
    counts = rng.multinomial(2000, list(before.values()))
    past = {name: Share(int(k), 2000) for name, k in zip(before, counts, strict=True)}
    probation = Probation(past, 200, FALSE_RETURNS)
    outcomes = rng.choice(list(now), size=200, p=list(now.values()))
    return any(probation.count([outcome]) is not None for outcome in outcomes)


RATES = {"pass": 0.9, "review": 0.05, "error": 0.01, "fail": 0.04}


@pytest.mark.slow
def test_a_good_version_is_rarely_sent_back() -> None:
    """10,000 probations without a change: the upper 95 % limit of the rate of false returns is at
    most the stated one."""
    rng = np.random.default_rng(23)
    false = sum(sent_back(rng, RATES, RATES) for _ in range(10_000))
    assert stats.beta.ppf(0.95, false + 1, 10_000 - false) <= FALSE_RETURNS


@pytest.mark.parametrize(
    "now",
    [
        {"pass": 0.5, "review": 0.25, "error": 0.01, "fail": 0.24},  # shuffled labels
        {"pass": 0.7, "review": 0.25, "error": 0.01, "fail": 0.04},  # other light
        {"pass": 0.04, "review": 0.05, "error": 0.01, "fail": 0.9},  # swapped thresholds
        {"pass": 0.8, "review": 0.05, "error": 0.11, "fail": 0.04},  # faults
        {"pass": 1.0, "review": 0.0, "error": 0.0, "fail": 0.0},  # passes everything
    ],
)
def test_a_worse_version_is_sent_back(now: dict[str, float]) -> None:
    """Within the 200 parts, in at least 95 of 100 probations."""
    rng = np.random.default_rng(7)
    assert sum(sent_back(rng, RATES, now) for _ in range(100)) >= 95


def test_the_difference_says_what_and_how_much() -> None:
    """The clearest rate, with both shares."""
    probation = Probation({"error": Share(2, 1000), "pass": Share(900, 1000)}, 100, FALSE_RETURNS)
    found = [difference for _ in range(25) if (difference := probation.count(["error"]))]
    assert [one.rate for one in found] == ["error"]
    assert str(found[0]).startswith("error: 25 of 25 parts, before 2 of 1000 (by chance: ")


@given(st.lists(st.booleans(), max_size=120), st.integers(0, 119))
@settings(max_examples=60, deadline=None)
def test_a_restart_goes_on_with_the_same_counts(errors: list[bool], restart: int) -> None:
    """The state goes through its record in the middle."""
    record = ProbationRecord(
        name="redness",
        sha256="0" * 64,
        at="2026-12-01T06:00:00.000Z",
        parts=100,
        false_returns=0.05,
        past_parts=1000,
        past_hits={"error": 10},
    )
    whole, broken = Probation.of(record), Probation.of(record)
    for number, error in enumerate(errors):
        if number == restart:
            broken = Probation.of(ProbationRecord.read(broken.noted_in(record).to_dict()))
        rates = ["error"] if error else []
        assert whole.count(rates) == broken.count(rates)
    assert whole == broken


def test_a_probation_ends() -> None:
    """After its parts nothing is sent back any more."""
    probation = Probation({"error": Share(0, 1000)}, 10, FALSE_RETURNS)
    assert [probation.count([]) for _ in range(10)] == [None] * 10
    assert probation.is_over
    assert probation.count(["error"]) is None
    assert probation.seen == 10


@pytest.mark.parametrize(("slow", "goes_back"), [(7, True), (6, False)])
def test_a_few_slow_verdicts_do_not_count(slow: int, goes_back: bool) -> None:
    """A busy box makes some verdicts slow, whatever the model."""
    probation = Probation({"slow": Share(0, 2000)}, 200, FALSE_RETURNS)
    found = [probation.count(["slow"] if n < slow else []) for n in range(25)]
    assert any(found) == goes_back

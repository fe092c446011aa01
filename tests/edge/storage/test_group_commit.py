"""Group commit: verdicts are written at once, and together while they come very fast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.storage.outbox.commit_queue import BUSY_COUNT, GATHER_S, GroupCommitPolicy


def delays(
    pace: GroupCommitPolicy, apart_s: float, count: int, start: float = 1000.0
) -> list[float]:
    """Seconds that each of `count` verdicts waits for its commit."""
    times = [start + apart_s * n for n in range(count)]
    return [pace.due(now) - now for now in times]


@pytest.mark.parametrize("rate", [10, 60, 140])
def test_a_line_never_waits(rate: int) -> None:
    """Up to 140 verdicts a second each is written as soon as the disk is free."""
    assert set(delays(GroupCommitPolicy(0.0), 1 / rate, 1000)) == {0.0}


def test_a_short_burst_does_not_wait() -> None:
    """Eight cameras that see the same part, ten parts a second."""
    pace = GroupCommitPolicy(0.0)
    for part in range(50):
        assert set(delays(pace, 0.001, 8, 1000.0 + 0.1 * part)) == {0.0}


def test_fast_verdicts_share_a_commit() -> None:
    """At 250 a second about ten share one, and none waits longer than the gathering."""
    pace = GroupCommitPolicy(0.0)
    times = [1000.0 + 0.004 * n for n in range(500)]
    due = [pace.due(now) for now in times][BUSY_COUNT:]
    assert len(set(due)) < len(due) / 9
    waits = [when - now for now, when in zip(times[BUSY_COUNT:], due)]
    assert min(waits) >= 0
    assert 0.9 * GATHER_S < max(waits) <= GATHER_S + 1e-9


def test_a_slow_line_after_a_fast_one_does_not_wait() -> None:
    """The burst before has no effect after a pause."""
    pace = GroupCommitPolicy(0.0)
    delays(pace, 0.001, 200)
    assert set(delays(pace, 0.1, 100, 2000.0)) == {0.0}


def test_a_window_is_the_same_for_all() -> None:
    """`balanced`: each verdict waits for its acknowledgement, however fast they come."""
    assert all(abs(one - 0.5) < 1e-9 for one in delays(GroupCommitPolicy(0.5), 0.001, 100))


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=300))
def test_no_order_of_arrivals_delays_long_or_overtakes(gaps: list[float]) -> None:
    """A commit is never due in the past, never later than the gathering, never out of order."""
    pace, now, before = GroupCommitPolicy(0.0), 1000.0, 0.0
    for gap in gaps:
        now += gap
        due = pace.due(now)
        assert now <= due <= now + GATHER_S
        assert due >= before
        before = due

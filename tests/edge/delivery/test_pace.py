"""Verdicts are written at once while they are few, and together while they are many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.delivery.pace import GATHER_S, ITEMS_S, Pace


def dues(
    pace: Pace, apart_s: float, count: int, start: float = 1000.0, *, item: bool = False
) -> list[float]:
    """How long each of so many verdicts may wait that come so far apart, seconds."""
    times = [start + apart_s * n for n in range(count)]
    return [pace.due(now, item=item) - now for now in times]


def test_ten_a_second_never_wait() -> None:
    """A line that makes something of each verdict gets it as soon as the disk has it."""
    assert set(dues(Pace(0.0), 0.1, 1000)) == {0.0}
    assert set(dues(Pace(0.0), 1 / 140, 1000)) == {0.0}
    assert set(dues(Pace(0.0), 1 / 110, 1000, item=True)) == {0.0}


def test_files_are_written_together_earlier() -> None:
    """Nobody stands at a gate for them: at 140 a second they are many already."""
    due = dues(Pace(0.0), 1 / 140, 1000, item=True)
    assert due.count(0.0) < 150


def test_a_few_at_once_do_not_wait() -> None:
    """The cameras of one part, or a burst after a pause: fewer than sixteen."""
    pace = Pace(0.0)
    for burst in range(5):
        assert set(dues(pace, 0.0001, 8, 1000.0 + burst)) == {0.0}


@pytest.mark.parametrize("item", [False, True])
def test_eight_cameras_at_ten_a_second_do_not_wait(item: bool) -> None:
    """Their pictures come at the same moment, and are judged one after the other; files too that
    are played at that rate."""
    pace = Pace(0.0)
    for burst in range(50):
        assert set(dues(pace, 0.001, 8, 1000.0 + 0.1 * burst, item=item)) == {0.0}


@pytest.mark.parametrize(("item", "longest"), [(False, GATHER_S), (True, ITEMS_S)])
def test_many_are_written_together(item: bool, longest: float) -> None:
    """At 250 a second ten and more share a commit, and none waits longer than the gathering,
    which is longer for pictures of files."""
    pace = Pace(0.0)
    at = [1000.0 + 0.004 * n for n in range(500)]
    due = [pace.due(now, item=item) for now in at][24:]
    assert len(set(due)) < len(due) / 10
    waits = [when - now for now, when in zip(at[24:], due)]
    assert min(waits) >= 0
    assert 0.9 * longest < max(waits) <= longest + 1e-9
    assert due == sorted(due)


def test_when_they_are_few_again_none_waits() -> None:
    """The sixteenth of a slow line is written at once, whatever was before."""
    pace = Pace(0.0)
    dues(pace, 0.001, 200)
    assert set(dues(pace, 0.1, 100, 2000.0)[2:]) == {0.0}


def test_a_window_is_as_long_as_it_is() -> None:
    """`balanced`: each waits for its acknowledgement as long as it may, few or many."""
    assert all(abs(one - 0.5) < 1e-9 for one in dues(Pace(0.5), 0.001, 100))


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=300))
def test_no_order_of_events_makes_one_wait_long_or_overtake(gaps: list[float]) -> None:
    """However they come: due is never before now, never later than the gathering, and never
    earlier than that of the one before."""
    pace, now, before = Pace(0.0), 1000.0, 0.0
    for gap in gaps:
        now += gap
        due = pace.due(now)
        assert now <= due <= now + GATHER_S
        assert due >= before
        before = due

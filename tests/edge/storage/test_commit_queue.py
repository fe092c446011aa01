"""When the next commit is due, and what it takes."""

import math

import pytest

from edge.storage.outbox.commit_queue import CommitQueue, GroupCommitPolicy, WriterLimits
from edge.storage.outbox.records import OutboxRow
from tests.support.verdicts import a_verdict

WINDOW_S = 0.5


class Clock:
    """A monotonic clock that a test sets."""

    now = 100.0

    def tick(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """At 100 s."""
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> CommitQueue:
    """Of `balanced`, for at most three verdicts."""
    return CommitQueue(GroupCommitPolicy(WINDOW_S), clock.tick, WriterLimits(held=3, retry_s=2.0))


def add(queue: CommitQueue, *numbers: int) -> None:
    """Verdicts with these numbers."""
    for number in numbers:
        queue.add(OutboxRow(number, 1.0, b"body"), a_verdict())


def test_an_empty_queue_is_never_due(queue: CommitQueue) -> None:
    """The thread then wakes only to show progress."""
    assert queue.due_in(degraded=False) == math.inf


def test_verdicts_are_due_after_their_window_and_acks_after_a_second(
    queue: CommitQueue, clock: Clock
) -> None:
    """Whichever comes first."""
    assert queue.pending.accept(1, clock.now)
    assert queue.due_in(degraded=False) == pytest.approx(1.0)
    clock.now += 0.7
    add(queue, 2)
    assert queue.due_in(degraded=False) == pytest.approx(0.3)
    clock.now += 0.4
    assert queue.due_in(degraded=False) == 0.0
    work = queue.take(degraded=False, closing=False)
    assert (work.changes.rows, work.changes.accepted) == ([], [1])  # verdict 2 stays in its window
    clock.now += 0.1
    assert len(queue.take(degraded=False, closing=False).changes.rows) == 1


@pytest.mark.parametrize(("degraded", "closing"), [(True, False), (False, True)])
def test_a_refusing_disk_and_the_end_wait_for_no_window(
    queue: CommitQueue, degraded: bool, closing: bool
) -> None:
    """Every verdict is written as soon as it can be."""
    add(queue, 1, 2)
    assert len(queue.take(degraded=degraded, closing=closing).changes.rows) == 2


def test_a_failed_commit_is_tried_again_after_a_pause(queue: CommitQueue, clock: Clock) -> None:
    """With the same work."""
    add(queue, 1)
    queue.pending.parked.append((1, "too large"))
    work = queue.take(degraded=False, closing=False)
    queue.put_back(work)
    assert queue.due_in(degraded=True) == pytest.approx(2.0)
    clock.now += 2.0
    assert queue.due_in(degraded=True) == 0.0
    again = queue.take(degraded=True, closing=False)
    assert (again.changes.rows, again.changes.parked) == (work.changes.rows, work.changes.parked)


def test_the_bound_holds_but_not_during_a_commit(queue: CommitQueue) -> None:
    """A row in the running commit must not be dropped."""
    add(queue, 1, 2, 3)
    work = queue.take(degraded=True, closing=False)
    add(queue, 4, 5)
    assert queue.drop_past_bounds() == []
    assert not queue.settle(3)
    queue.put_back(work)
    assert queue.drop_past_bounds() == [1, 2]
    assert queue.settle(3)
    assert len(queue) == 2


def test_what_was_acknowledged_first_needs_no_row(queue: CommitQueue) -> None:
    """Its receipt is stored alone."""
    verdict = a_verdict(receipt="a.png|1")
    queue.add(OutboxRow(1, 1.0, b"body"), verdict)
    assert queue.settle(1)
    work = queue.take(degraded=False, closing=True)
    assert (work.changes.rows, work.changes.receipts) == ([], [(verdict.camera, "a.png|1")])
    assert not work.changes.is_empty

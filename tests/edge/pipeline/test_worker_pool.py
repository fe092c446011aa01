"""The worker pool: which worker judges which camera, and what runs while all workers pause."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edge.core.clock import Clock, StopEvent
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.pipeline.judge import Judge
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.worker import InspectionWorker, Pause
from edge.pipeline.worker_pool import WorkerPool
from tests.support.frames import frame
from tests.support.scripted_model import MakeJudge, Sink
from tests.support.waiting import wait_until

GOOD = [0.95, 0.05]
DEADLINE_S = 30


class PoolUnderTest:
    """A worker pool. `delivered`: camera, frame number and thread of each verdict."""

    def __init__(self, limit: int, make_judge: MakeJudge, environment: Clock) -> None:
        self.delivered: list[tuple[str, int, str]] = []
        self.gates: dict[int, threading.Event] = {}
        self._make, self._environment = make_judge, environment
        self.workers = WorkerPool(limit, self._create)

    def _create(self, others: int) -> InspectionWorker:
        gate = self.gates[others] = threading.Event()
        gate.set()

        def work() -> None:
            assert gate.wait(DEADLINE_S)

        judge: Judge = self._make(GOOD, deadline_ms=None, work=work)
        return InspectionWorker(Mailbox(), Judges(judge), Sink(self._deliver), self._environment)

    def _deliver(self, verdict: Verdict) -> None:
        name = threading.current_thread().name
        self.delivered.append((verdict.camera, verdict.frame_seq, name))

    def show(self, camera: str, seq: int) -> None:
        """A picture of a camera, which waits for its turn."""
        one = frame(seq, camera=camera)
        assert self.workers.worker_for(camera).mailbox.put(one, StopEvent())


@pytest.fixture
def pools(make_judge: MakeJudge, environment: Clock) -> Iterator[Any]:
    """`pools(2)`: two workers at most, whose threads end with the test."""
    made: list[PoolUnderTest] = []

    def make(limit: int) -> PoolUnderTest:
        made.append(PoolUnderTest(limit, make_judge, environment))
        return made[-1]

    yield make
    for pool in made:
        for gate in pool.gates.values():
            gate.set()
        pool.workers.close()
        assert pool.workers.join(DEADLINE_S) == []


def test_cameras_are_spread_and_keep_their_worker(pools: Any) -> None:
    """A new camera goes to the worker with the fewest; one that went and comes back has its own."""
    workers = pools(2).workers
    first, second = workers.assign("a"), workers.assign("b")
    assert first is not second
    assert workers.assign("c") in (first, second)
    assert len(workers.all) == 2
    workers.keep_only(["c"])
    assert workers.assign("b") is second
    assert workers.assign("a") is first
    assert workers.assign("a") is first


def test_one_camera_needs_one_worker(pools: Any) -> None:
    """No worker is created for a camera that does not need it."""
    workers = pools(16).workers
    workers.assign("a")
    assert len(workers.all) == 1


def test_each_camera_is_judged_in_order_by_one_thread(pools: Any) -> None:
    """Two cameras, two threads; every picture once and in its order, all counted."""
    pool = pools(2)
    for name in ("a", "b"):
        pool.workers.assign(name)
    pool.workers.start()
    for seq in range(1, 21):
        for name in ("a", "b"):
            pool.show(name, seq)
    wait_until(lambda: len(pool.delivered) == 40, "all pictures are judged")
    for name in ("a", "b"):
        verdicts = [(seq, thread) for camera, seq, thread in pool.delivered if camera == name]
        assert [seq for seq, _ in verdicts] == list(range(1, 21))
        assert len({thread for _, thread in verdicts}) == 1
    assert {thread for _, _, thread in pool.delivered} == {"inspection", "inspection-2"}
    assert pool.workers.counts["pass"] == 40


def test_one_that_hangs_does_not_hold_the_other_up(pools: Any, clock: Any) -> None:
    """The other camera is judged; the watchdog sees the worker that hangs."""
    pool = pools(2)
    hanging, other = pool.workers.assign("a"), pool.workers.assign("b")
    pool.gates[0].clear()
    pool.workers.start()
    pool.show("a", 1)
    wait_until(lambda: not hanging.mailbox.has_frame("a"), "the first is at work")
    before = hanging.beat
    clock.at += 100
    for seq in range(1, 6):
        pool.show("b", seq)
    wait_until(lambda: len(pool.delivered) == 5, "the other judges")
    assert pool.workers.beat == before
    assert other.beat > before


def test_a_change_is_made_while_all_are_paused(pools: Any) -> None:
    """The free worker waits for the busy one, and judges nothing before the change is made."""
    pool = pools(2)
    for name in ("a", "b"):
        pool.workers.assign(name)
    pool.workers.start()
    pool.gates[0].clear()
    pool.show("a", 1)
    wait_until(
        lambda: not pool.workers.worker_for("a").mailbox.has_frame("a"), "the first is at work"
    )
    seen: list[int] = []
    asked = start_thread(
        "asks",
        lambda: pool.workers.run_paused(lambda: seen.append(len(pool.delivered)), DEADLINE_S),
    )
    pool.show("b", 1)
    assert seen == []
    pool.gates[0].set()
    asked.join(DEADLINE_S)
    assert seen
    wait_until(lambda: len(pool.delivered) == 2, "both go on")
    assert 1 <= seen[0] <= 2
    wait_until(lambda: len(pool.delivered) == 2, "both go on")


def test_a_change_that_is_given_up_is_never_made(pools: Any) -> None:
    """After the time-out the change never runs, even when the slow worker pauses later.
    The other workers resume at once, and the next change is made."""
    pool = pools(2)
    for name in ("a", "b"):
        pool.workers.assign(name)
    pool.workers.start()
    pool.gates[0].clear()
    pool.show("a", 1)
    wait_until(
        lambda: not pool.workers.worker_for("a").mailbox.has_frame("a"), "the first is at work"
    )
    done: list[str] = []
    assert not pool.workers.run_paused(lambda: done.append("x"), 0.05)
    pool.show("b", 1)
    wait_until(lambda: ("b", 1, "inspection-2") in pool.delivered, "the other goes on")
    pool.gates[0].set()
    wait_until(lambda: len(pool.delivered) == 2, "the first too")
    assert pool.workers.run_paused(lambda: done.append("y"), DEADLINE_S)
    assert done == ["y"]


def test_an_error_in_a_change_reaches_the_caller(pools: Any) -> None:
    """The workers resume, and the caller gets the error."""
    pool = pools(2)
    pool.workers.assign("a")
    pool.workers.start()

    def fails() -> None:
        raise LookupError("no such camera")

    with pytest.raises(LookupError):
        pool.workers.run_paused(fails, DEADLINE_S)
    pool.show("a", 1)
    wait_until(lambda: len(pool.delivered) == 1, "the worker goes on")


def test_a_paused_worker_judges_nothing(pools: Any) -> None:
    """It pauses after the frame that it has begun, and takes the next one when the pause ends."""
    pool = pools(1)
    worker = pool.workers.assign("a")
    pool.workers.start()
    pool.gates[0].clear()
    pool.show("a", 1)
    wait_until(lambda: not worker.mailbox.has_frame("a"))
    pause = Pause(1)
    worker.pause_at(pause)
    pool.show("a", 2)
    pool.gates[0].set()
    assert pause.wait_for_all(DEADLINE_S, lambda: False)
    assert [seq for _, seq, _ in pool.delivered] == [1]
    pause.ended.set()
    wait_until(lambda: len(pool.delivered) == 2)


def test_a_worker_that_comes_after_the_time_out_goes_on(pools: Any) -> None:
    """A pause that has ended before the worker came does not hold it."""
    pool = pools(1)
    worker = pool.workers.assign("a")
    pause = Pause(1)
    pause.ended.set()
    worker.pause_at(pause)
    pool.show("a", 1)
    pool.workers.start()
    wait_until(lambda: len(pool.delivered) == 1)


def test_frames_that_were_replaced_are_counted_by_camera(pools: Any) -> None:
    """The pool knows how many frames of a camera were replaced."""
    pool = pools(2)
    for name in ("a", "b"):
        mailbox = pool.workers.assign(name).mailbox
        for seq in range(3 if name == "a" else 1):
            mailbox.offer(frame(seq + 1, camera=name))
    assert [pool.workers.replaced(name) for name in ("a", "b", "c")] == [2, 0, 0]


def test_frames_that_wait_for_any_worker_are_a_backlog(pools: Any) -> None:
    """Until the last one is taken."""
    pool = pools(2)
    first, second = (pool.workers.assign(name).mailbox for name in ("a", "b"))
    assert not pool.workers.has_backlog
    second.offer(frame(1, camera="b"))
    assert pool.workers.has_backlog
    assert not first.has_work
    assert second.take(0) is not None
    assert not pool.workers.has_backlog

"""The threads that judge: who judges which camera, and what is done while all stand still."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edge.core.clock import Clock, StopEvent
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.pipeline.judge import Judge
from edge.pipeline.worker_pool import PoolWorker, WorkerPool
from tests.support.frames import frame
from tests.support.scripted_model import MakeJudge, Sink
from tests.support.waiting import wait_until

GOOD = [0.95, 0.05]
DEADLINE_S = 30


class Crew:
    """Workers, what they have said, and on which thread."""

    def __init__(self, most: int, make_judge: MakeJudge, environment: Clock) -> None:
        self.said: list[tuple[str, int, str]] = []
        self.gates: dict[int, threading.Event] = {}
        self._make, self._environment = make_judge, environment
        self.workers = WorkerPool(most, self._hire)

    def _hire(self, others: int) -> PoolWorker:
        gate = self.gates[others] = threading.Event()
        gate.set()

        def work() -> None:
            assert gate.wait(DEADLINE_S)

        judge: Judge = self._make(GOOD, deadline_ms=None, work=work)
        return PoolWorker(judge, Sink(self._deliver), self._environment)

    def _deliver(self, verdict: Verdict) -> None:
        name = threading.current_thread().name
        self.said.append((verdict.camera, verdict.frame_seq, name))

    def show(self, camera: str, seq: int) -> None:
        """A picture of a camera, which waits for its turn."""
        one = frame(seq, camera=camera)
        assert self.workers.of(camera).mailbox.put(one, StopEvent())


@pytest.fixture
def crews(make_judge: MakeJudge, environment: Clock) -> Iterator[Any]:
    """`crews(2)`: two workers at most, whose threads end with the test."""
    made: list[Crew] = []

    def make(most: int) -> Crew:
        made.append(Crew(most, make_judge, environment))
        return made[-1]

    yield make
    for crew in made:
        for gate in crew.gates.values():
            gate.set()
        crew.workers.close()
        assert crew.workers.join(DEADLINE_S) == []


def test_cameras_are_spread_and_keep_their_worker(crews: Any) -> None:
    """A new camera goes to the worker with the fewest; one that went and comes back has its own."""
    workers = crews(2).workers
    first, second = workers.employ("a"), workers.employ("b")
    assert first is not second
    assert workers.employ("c") in (first, second)
    assert len(workers.all) == 2
    workers.release("a")
    workers.release("b")
    assert workers.employ("b") is second
    assert workers.employ("a") is first
    assert workers.employ("a") is first


def test_one_camera_needs_one_worker(crews: Any) -> None:
    """Nobody is hired for nothing."""
    workers = crews(16).workers
    workers.employ("a")
    assert len(workers.all) == 1


def test_each_camera_is_judged_in_order_by_one_thread(crews: Any) -> None:
    """Two cameras, two threads; every picture once and in its order, all counted."""
    crew = crews(2)
    for name in ("a", "b"):
        crew.workers.employ(name)
    crew.workers.start()
    for seq in range(1, 21):
        for name in ("a", "b"):
            crew.show(name, seq)
    wait_until(lambda: len(crew.said) == 40, "all pictures are judged")
    for name in ("a", "b"):
        said = [(seq, thread) for camera, seq, thread in crew.said if camera == name]
        assert [seq for seq, _ in said] == list(range(1, 21))
        assert len({thread for _, thread in said}) == 1
    assert {thread for _, _, thread in crew.said} == {"inspection", "inspection-2"}
    assert crew.workers.counts["pass"] == 40


def test_one_that_hangs_does_not_hold_the_other_up(crews: Any, clock: Any) -> None:
    """The other camera goes on; the watchdog sees the one that stands."""
    crew = crews(2)
    hanging, other = crew.workers.employ("a"), crew.workers.employ("b")
    crew.gates[0].clear()
    crew.workers.start()
    crew.show("a", 1)
    wait_until(lambda: not hanging.mailbox.waiting("a"), "the first is at work")
    before = hanging.judging.beat
    clock.at += 100
    for seq in range(1, 6):
        crew.show("b", seq)
    wait_until(lambda: len(crew.said) == 5, "the other judges")
    assert crew.workers.beat == before
    assert other.judging.beat > before


def test_a_change_is_made_while_all_are_paused(crews: Any) -> None:
    """The free worker waits for the busy one, and judges nothing before the change is made."""
    crew = crews(2)
    for name in ("a", "b"):
        crew.workers.employ(name)
    crew.workers.start()
    crew.gates[0].clear()
    crew.show("a", 1)
    wait_until(lambda: not crew.workers.of("a").mailbox.waiting("a"), "the first is at work")
    seen: list[int] = []
    asked = start_thread(
        "asks",
        lambda: crew.workers.between(lambda: seen.append(len(crew.said)), DEADLINE_S),
    )
    crew.show("b", 1)
    assert seen == []
    crew.gates[0].set()
    asked.join(DEADLINE_S)
    assert seen
    wait_until(lambda: len(crew.said) == 2, "both go on")
    assert 1 <= seen[0] <= 2
    wait_until(lambda: len(crew.said) == 2, "both go on")


def test_a_change_that_is_given_up_is_never_made(crews: Any) -> None:
    """After the time-out the change never runs, not even when the slow worker comes at last; the
    other workers go on at once, and the next change is made."""
    crew = crews(2)
    for name in ("a", "b"):
        crew.workers.employ(name)
    crew.workers.start()
    crew.gates[0].clear()
    crew.show("a", 1)
    wait_until(lambda: not crew.workers.of("a").mailbox.waiting("a"), "the first is at work")
    done: list[str] = []
    assert not crew.workers.between(lambda: done.append("x"), 0.05)
    crew.show("b", 1)
    wait_until(lambda: ("b", 1, "inspection-2") in crew.said, "the other goes on")
    crew.gates[0].set()
    wait_until(lambda: len(crew.said) == 2, "the first too")
    assert crew.workers.between(lambda: done.append("y"), DEADLINE_S)
    assert done == ["y"]


def test_what_a_change_raises_reaches_the_one_who_asked(crews: Any) -> None:
    """The workers go on; the one who asked hears of it."""
    crew = crews(2)
    crew.workers.employ("a")
    crew.workers.start()

    def fails() -> None:
        raise LookupError("no such camera")

    with pytest.raises(LookupError):
        crew.workers.between(fails, DEADLINE_S)
    crew.show("a", 1)
    wait_until(lambda: len(crew.said) == 1, "the worker goes on")


def test_a_paused_worker_judges_nothing(crews: Any) -> None:
    """It comes to the barrier after the frame that it has begun, and takes the next one when the
    barrier is aborted."""
    crew = crews(1)
    worker = crew.workers.employ("a")
    crew.workers.start()
    crew.gates[0].clear()
    crew.show("a", 1)
    wait_until(lambda: not worker.mailbox.waiting("a"))
    barrier = threading.Barrier(2)
    worker.judging.pause_at(barrier)
    crew.show("a", 2)
    crew.gates[0].set()
    barrier.wait(DEADLINE_S)
    assert [seq for _, seq, _ in crew.said] == [1]
    barrier.abort()
    wait_until(lambda: len(crew.said) == 2)


def test_a_worker_that_comes_after_the_time_out_goes_on(crews: Any) -> None:
    """A barrier that was aborted before the worker came does not hold it."""
    crew = crews(1)
    worker = crew.workers.employ("a")
    barrier = threading.Barrier(2)
    barrier.abort()
    worker.judging.pause_at(barrier)
    crew.show("a", 1)
    crew.workers.start()
    wait_until(lambda: len(crew.said) == 1)


def test_frames_that_were_replaced_are_counted_by_camera(crews: Any) -> None:
    """Whoever judges a camera knows how many of its frames nobody took."""
    crew = crews(2)
    for name in ("a", "b"):
        mailbox = crew.workers.employ(name).mailbox
        for seq in range(3 if name == "a" else 1):
            mailbox.offer(frame(seq + 1, camera=name))
    assert [crew.workers.replaced(name) for name in ("a", "b", "c")] == [2, 0, 0]

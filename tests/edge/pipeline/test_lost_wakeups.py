"""No wake-up of the inspection worker is lost: whatever comes while it looks, judges or falls
asleep, it is taken, and each part gets its verdict."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import TriggerConfig
from edge.core.clock import Clock, StopEvent
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.pipeline import worker as worker_module
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.worker import InspectionWorker, Pause
from tests.support.frames import frame
from tests.support.scripted_model import MakeJudge, Sink
from tests.support.waiting import wait_until

NEVER_S = 3600.0  # a lost wake-up would make a test wait this long
STEPS = ("offer", "fault", "put", "wake", "part", "close", "take", "take_more", "drop", "hold")


class Scheduled(threading.Condition):
    """Instead of each wait it runs the next steps of other threads, until one notifies."""

    def __init__(self) -> None:
        super().__init__()
        self.next_step: Callable[[], bool] = lambda: False
        self.notified = False
        self.slept_for_ever = False

    def notify_all(self) -> None:
        self.notified = True

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        self.notified = False
        while not self.notified:
            if not self.next_step():
                self.slept_for_ever = True
                return False
        return True


@given(st.lists(st.sampled_from(STEPS), max_size=30), st.lists(st.sampled_from(STEPS), max_size=30))
def test_take_never_sleeps_beside_work(before: list[str], during: list[str]) -> None:
    """In every order of steps before a `take` and while it sleeps: it sleeps only when there is
    nothing to take and no wake-up; anything that comes ends the sleep."""
    condition = Scheduled()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading, "Condition", lambda: condition)
        clock = Clock()
        tracker = PartTracker("part", TriggerConfig(kind="request", queue=63), clock)
        mailbox = Mailbox({"part": tracker}, capacity=100)
    inlet = mailbox.inlet()
    seq = iter(range(1, 1000))

    def part() -> None:
        tracker.trigger("request")
        mailbox.offer(frame(next(seq), camera="part", fault="lost"))

    def hold() -> None:
        inlet.hold(held=True)
        inlet.hold(held=False)

    steps: dict[str, Callable[[], object]] = {
        "offer": lambda: mailbox.offer(frame(next(seq), camera="live")),
        "fault": lambda: mailbox.offer(frame(next(seq), camera="live", fault="lost")),
        "put": lambda: mailbox.put(frame(next(seq), camera="files"), StopEvent()),
        "part": part,
        "wake": mailbox.wake,
        "close": mailbox.close,
        "take_more": lambda: mailbox.take_more("files"),
        "drop": lambda: mailbox.drop_camera("files"),
        "hold": hold,
    }

    def there_is_work() -> bool:
        return mailbox.drained or any(mailbox.has_frame(n) for n in ("live", "files", "part"))

    woken = False
    for name in before:
        if name != "take":
            steps[name]()
            woken |= name == "wake"
        elif there_is_work():
            assert mailbox.take(NEVER_S) is not None or mailbox.drained
            woken = False
    rest = iter([name for name in during if name != "take"])

    def run_next() -> bool:
        assert not woken, "it sleeps after a wake-up"
        assert not there_is_work(), "it sleeps beside work"
        name = next(rest, None)
        if name is not None:
            steps[name]()
        return name is not None

    condition.next_step = run_next
    mailbox.take(NEVER_S)
    assert not (condition.slept_for_ever and there_is_work())


@pytest.mark.slow
def test_each_part_gets_its_error_in_time(
    make_judge: MakeJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts without pictures, announced at random moments while other frames are judged and the
    worker is paused again and again. An idle worker would sleep for an hour."""
    monkeypatch.setattr(worker_module, "TAKE_S", NEVER_S)
    clock, stop = Clock(), StopEvent()
    verdicts: list[Verdict] = []
    config = TriggerConfig(kind="request", queue=63, deadline_ms=20)
    mailbox = Mailbox()
    tracker = PartTracker("part", config, clock, on_change=mailbox.wake)
    mailbox.trackers["part"] = tracker
    judge = make_judge([0.9, 0.1], deadline_ms=None)
    sink: Any = Sink(verdicts.append)
    worker = InspectionWorker(mailbox, Judges(judge), sink, clock)
    thread = start_thread("inspection", worker.run)

    def offer() -> None:
        seq, rng = 0, random.Random(1)
        while not stop.wait(rng.uniform(0, 0.003)):
            seq += 1
            mailbox.offer(frame(seq, camera="live"))

    offering, rng = start_thread("offers", offer), random.Random(2)
    for number in range(200):
        wait_until(lambda: tracker.open < 60, "room for a part")
        tracker.trigger("request", str(number))
        if number % 10 == 0:
            pause = Pause(1)
            worker.pause_at(pause)
            assert pause.wait_for_all(60, lambda: False)
            pause.ended.set()
        stop.wait(rng.uniform(0, 0.005))
        if number == 150:  # the rest without frames that would wake the worker
            stop.set()
            offering.join(60)
            stop = StopEvent()
    wait_until(lambda: sum(v.trigger is not None for v in verdicts) == 200, "200 verdicts on parts")
    mailbox.close()
    thread.join(60)
    assert not thread.is_alive()


def test_a_stop_ends_the_wait_for_a_pause() -> None:
    """The daemon stops while a worker does not come: the change is given up at once."""
    pause, stopped = Pause(1), threading.Event()
    given_up: list[bool] = []
    waiting = start_thread(
        "waits", lambda: given_up.append(pause.wait_for_all(NEVER_S, stopped.is_set))
    )
    stopped.set()
    waiting.join(60)
    assert given_up == [False]
    pause.ended.set()
    pause.arrive()

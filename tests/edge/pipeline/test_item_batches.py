"""Files of one source are judged in batches, without a cost for anything else."""

import threading

import pytest

from edge.config import TriggerConfig
from edge.core.clock import Clock, StopEvent
from edge.core.frame import Frame
from edge.core.verdict import Verdict
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.worker import InspectionWorker
from tests.support.clock import FakeClock
from tests.support.frames import frame
from tests.support.scripted_model import MakeJudge, Sink

GOOD = [0.95, 0.05]


def filled(count: int = 4) -> Mailbox:
    """A mailbox with `count` files of one source."""
    mailbox = Mailbox()
    for number in range(1, count + 1):
        mailbox.put(
            Frame("files", number, frame().pixels, 0.0, 1000.0, item=f"{number}"), StopEvent()
        )
    return mailbox


def test_items_are_judged_in_bunches_each_for_itself(
    make_judge: MakeJudge, environment: Clock
) -> None:
    """Several items of one source are looked at before the first is concluded. Each is delivered in
    its order, and one that cannot be takes none of the others with it."""
    mailbox, order = filled(), []
    judge = make_judge(GOOD, work=lambda: order.append("look"))

    def deliver(verdict: Verdict) -> None:
        order.append(f"{verdict.part}")
        if verdict.part == "2":
            raise RuntimeError("no room")

    worker = InspectionWorker(mailbox, Judges(judge), Sink(deliver), environment)
    mailbox.close()
    thread = threading.Thread(target=worker.run, name="inspection")
    thread.start()
    thread.join(5)
    assert order == ["look"] * 4 + ["1", "2", "3", "4"]
    assert worker.faults == 1
    assert worker.counts["pass"] == 3


def test_who_comes_meanwhile_waits_for_one_item_only(
    make_judge: MakeJudge, environment: Clock
) -> None:
    """A live frame that comes while an item is looked at is next."""
    mailbox, order = filled(), []

    def work() -> None:
        order.append("look")
        if len(order) == 2:
            mailbox.offer(frame(9, camera="live"))

    worker = InspectionWorker(
        mailbox,
        Judges(make_judge(GOOD, work=work)),
        Sink(lambda verdict: order.append(verdict.camera)),
        environment,
    )
    worker.run_once(mailbox.take(0))
    assert order == ["look", "look", "files", "files"]
    assert {one.camera for one in (mailbox.take(0), mailbox.take(0)) if isinstance(one, Frame)} == {
        "files",
        "live",
    }


def test_beside_parts_with_deadlines_items_come_one_by_one(
    make_judge: MakeJudge, environment: Clock
) -> None:
    """A worker of a camera with a trigger checks deadlines after each file."""
    mailbox, order = filled(), []
    mailbox.trackers["top"] = PartTracker("top", TriggerConfig(kind="request"), environment)
    worker = InspectionWorker(
        mailbox,
        Judges(make_judge(GOOD)),
        Sink(lambda verdict: order.append(verdict.part)),
        environment,
    )
    worker.run_once(mailbox.take(0))
    assert order == ["1"]


@pytest.mark.parametrize(("took_s", "together"), [(9.0, 1), (0.02, 2), (0.001, 16)])
def test_a_bunch_takes_no_longer_than_a_moment(
    make_judge: MakeJudge,
    environment: Clock,
    clock: FakeClock,
    took_s: float,
    together: int,
) -> None:
    """The first of a bunch waits for the last, so few slow items make one; the watchdog sees each
    look, not the bunch."""
    mailbox, beats = filled(16), []
    delivered: list[Verdict] = []

    def work() -> None:
        beats.append(clock.at - worker.beat)
        clock.at += took_s

    worker = InspectionWorker(
        mailbox, Judges(make_judge(GOOD, work=work)), Sink(delivered.append), environment
    )
    worker.run_once(mailbox.take(0))
    assert len(delivered) == together
    assert beats == [0.0] * together

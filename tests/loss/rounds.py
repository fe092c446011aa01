"""One round: a rig is built, the schedule is played, everything is healed, and what is left is
sent; then the oracle is asked."""

import threading
import time

from tests.loss import outboxfile
from tests.loss.faults import FaultInjector, wait
from tests.loss.oracle import Judgement, judge
from tests.loss.rig import Rig
from tests.loss.schedule import Event

_DRAIN_S = 30.0
# Before a commit, file and log are within the cap. One group commit holds at most 256 verdicts,
# three to a page of 4 KB; they stand in the log, and in a file that was not at its cap before.
BATCH_BYTES = 2 * 256 * 4096 // 3


class Round:
    """A schedule, played in a rig."""

    def __init__(self, rig: Rig) -> None:
        """The rig is closed at the end."""
        self._rig = rig
        self._injector = FaultInjector(rig, rig.schedule.seed)

    def play(self) -> Judgement:
        """Everything in order. What is left behind is away afterwards, but for the folder."""
        capped = "cap" in self._rig.schedule.kinds()
        done = threading.Event()
        sampler = threading.Thread(target=self._sample_sizes, args=(done,), name="sampler")
        if capped:
            self._rig.facts.allowed = int(self._rig.schedule.max_mb * 2**20) + BATCH_BYTES
            sampler.start()
        try:
            self._rig.start()
            for event in self._rig.schedule.events:
                self._wait_for(event)
                self._injector.apply(event)
            self._finish()
        finally:
            done.set()
            if capped:
                sampler.join()
            self._rig.close()
        return judge(self._rig.facts)

    def _wait_for(self, event: Event) -> None:
        boxes, proxy = self._rig.boxes, self._rig.proxy
        if event.when == "given":
            goal = boxes.given + event.after
            boxes.wait_until(lambda: boxes.given >= goal, 5.0)
        elif event.when == "stored":
            goal = boxes.reports + 1 + event.after // 8
            boxes.wait_until(lambda: boxes.reports >= goal, 5.0)
        elif event.when == "sent":
            goal = len(proxy.recorder.sent) + event.after
            until = time.monotonic() + (0.5 if self._injector.lasting else 5.0)
            while len(proxy.recorder.sent) < goal and time.monotonic() < until:
                time.sleep(0.0002)
        wait(event.delay_s)

    def _finish(self) -> None:
        """All is well again: what is stored must come out."""
        self._injector.heal()
        self._rig.proxy.reset_behaviour()
        self._rig.ensure_alive()
        self._rig.stop()
        # None: perhaps damaged in the end, and stopped before the box could look; reading it here
        # would be SQLite's recovery, which cuts off what is behind the damage
        damaged = self._rig.facts.damaged_in is not None
        left = None if damaged else outboxfile.read(self._rig.outbox)
        self._rig.facts.parked = sum(row.parked is not None for row in left or [])
        if left is None or left:
            boxes = self._rig.boxes
            goal = boxes.reports + 1
            self._rig.start("quiet.yaml")
            # only a box that has opened the file has repaired it, and knows what waits
            boxes.wait_until(lambda: boxes.reports >= goal, _DRAIN_S)
            until = time.monotonic() + _DRAIN_S
            while outboxfile.count(self._rig.outbox) != 0 and time.monotonic() < until:
                self._rig.ensure_alive()
                time.sleep(0.05)
            self._rig.stop()
            left = self._left()
        self._rig.facts.waiting = left

    def _left(self) -> list[outboxfile.Waiting]:
        rows = outboxfile.read(self._rig.outbox)
        if rows is None:
            self._rig.fault("the outbox cannot be read at the end")
        return rows or []

    def _sample_sizes(self, done: threading.Event) -> None:
        while not done.wait(0.003):
            self._rig.facts.largest = max(
                self._rig.facts.largest, outboxfile.size(self._rig.outbox)
            )

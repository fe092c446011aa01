"""The threads that judge: each with its own mailbox and interpreter, and its own cameras.

A camera belongs to one worker for good, so its verdicts keep their order and nothing of a camera is
shared between threads. Several workers are for several cameras: one picture is judged by one.
"""

import os
import threading
from collections.abc import Callable, Mapping
from typing import Literal

from edge.capture.mailbox import Mailbox
from edge.capture.tracker import Tracker
from edge.environment import Environment
from edge.frame import Frame
from edge.operation.errand import Errand
from edge.operation.judge import Judge
from edge.operation.judging import Judging
from edge.threads import CopyOnWriteDict, start_thread
from edge.verdict import OUTCOMES, Outcome, Verdict

NAME = "inspection"


class Worker:
    """One of them. `trackers` are those of its cameras that have a trigger."""

    def __init__(
        self,
        judge: Judge,
        deliver: Callable[[Verdict], None],
        keep: Callable[[Frame, Verdict], None],
        environment: Environment,
    ) -> None:
        """`deliver` and `keep` as `Judging` takes them."""
        self.judge = judge
        self.trackers: CopyOnWriteDict[Tracker] = CopyOnWriteDict()
        self.mailbox = Mailbox(self.trackers)
        self.judging = Judging(
            self.mailbox, judge, deliver, keep, environment, trackers=self.trackers
        )
        self.thread: threading.Thread | None = None

    def adopt(self, judge: Judge) -> None:
        """Judges by another judge from the next frame on. To be called in `Workers.between`."""
        self.judge = judge
        self.judging.adopt(judge)


class Workers:
    """All of them. They are hired one by one as cameras come, and stay."""

    def __init__(self, most: Literal["auto"] | int, hire: Callable[[int], Worker]) -> None:
        """At most so many; `auto`: as many as there are cores to run on. `hire` makes one, given
        how many there are."""
        self.allow(most)
        self._hire = hire
        self.all: tuple[Worker, ...] = (hire(0),)
        self._of: dict[str, Worker] = {}
        self._present: frozenset[str] = frozenset()

    def allow(self, most: Literal["auto"] | int) -> None:
        """At most so many from now on; those that are there stay."""
        self._most = len(os.sched_getaffinity(0)) if most == "auto" else most

    def employ(self, camera: str) -> Worker:
        """The worker of a camera: the one it had, else the one with the fewest cameras, or a new
        one while there may be more."""
        worker = self._of.get(camera)
        if worker is None:
            load = {id(one): 0 for one in self.all}
            for name in self._present:
                load[id(self._of[name])] += 1
            worker = min(self.all, key=lambda one: load[id(one)])
            if load[id(worker)] and len(self.all) < self._most:
                worker = self._hire(len(self.all))
                self.all = (*self.all, worker)
            self._of = {**self._of, camera: worker}
        self._present |= {camera}
        return worker

    def release(self, camera: str) -> None:
        """The camera has gone; should it come back it has the same worker."""
        self._present -= {camera}

    def of(self, camera: str) -> Worker:
        """The worker of a camera that was here. Raises KeyError."""
        return self._of[camera]

    def start(self) -> None:
        """Starts the threads of those that were hired since."""
        for number, worker in enumerate(self.all, 1):
            if worker.thread is None:
                name = NAME if number == 1 else f"{NAME}-{number}"
                worker.thread = start_thread(name, worker.judging.run)

    def between(self, action: Callable[[], None], timeout: float) -> bool:
        """Has `action` done while every worker stands between two frames. False when one did not
        come to the end of its frame within `timeout` seconds: then it is never done. Raises what
        `action` raises."""
        running = [worker for worker in self.all if worker.thread is not None]
        errand = Errand(action, len(running))
        for worker in running:
            worker.judging.send(errand)
        return errand.wait(timeout)

    def close(self) -> None:
        """No frame comes any more."""
        for worker in self.all:
            worker.mailbox.close()

    def join(self, timeout: float) -> list[str]:
        """Waits up to `timeout` seconds for each thread; the names of those that hang."""
        threads = [worker.thread for worker in self.all if worker.thread is not None]
        for thread in threads:
            thread.join(timeout)
        return [thread.name for thread in threads if thread.is_alive()]

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many verdicts of each outcome."""
        return {
            outcome: sum(worker.judging.counts[outcome] for worker in self.all)
            for outcome in OUTCOMES
        }

    @property
    def beat(self) -> float:
        """When the one that has stood longest last went round its loop, monotonic seconds."""
        return min(worker.judging.beat for worker in self.all)

    def replaced(self, camera: str) -> int:
        """How many frames of this camera were replaced before anyone took them."""
        worker = self._of.get(camera)
        return 0 if worker is None else worker.mailbox.replaced(camera)

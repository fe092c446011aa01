"""The pool of inspection workers: each has its own thread, mailbox, interpreter and cameras.

A camera belongs to one worker for good. So its verdicts keep their order, and threads share nothing
of a camera. Several workers serve several cameras: one worker judges one picture.
"""

import os
import threading
from collections.abc import Callable, Mapping
from typing import Literal

from edge.core.clock import Clock
from edge.core.threads import CopyOnWriteDict, start_thread
from edge.core.verdict import OUTCOMES, Outcome
from edge.pipeline.judge import Judge
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.worker import InspectionWorker, VerdictSink

NAME = "inspection"


class PoolWorker:
    """One worker. `trackers` are those of its cameras that have a trigger."""

    def __init__(self, judge: Judge, sink: VerdictSink, environment: Clock) -> None:
        """Its thread is started by the pool."""
        self.judge = judge
        self.trackers: CopyOnWriteDict[PartTracker] = CopyOnWriteDict()
        self.mailbox = Mailbox(self.trackers)
        self.judging = InspectionWorker(
            self.mailbox, judge, sink, environment, trackers=self.trackers
        )
        self.thread: threading.Thread | None = None

    def adopt(self, judge: Judge) -> None:
        """Judges by another judge from the next frame on. To be called in `WorkerPool.between`."""
        self.judge = judge
        self.judging.adopt(judge)


class WorkerPool:
    """All workers. The pool grows as cameras come, and never shrinks."""

    def __init__(self, most: Literal["auto"] | int, hire: Callable[[int], PoolWorker]) -> None:
        """`most`: the maximum number of workers; `auto`: the number of cores to run on.
        `hire(number)` makes one beside `number` others."""
        self.allow(most)
        self._hire = hire
        self.all: tuple[PoolWorker, ...] = (hire(0),)
        self._of: dict[str, PoolWorker] = {}
        self._present: frozenset[str] = frozenset()

    def allow(self, most: Literal["auto"] | int) -> None:
        """Sets the maximum number of workers; existing workers stay."""
        self._most = len(os.sched_getaffinity(0)) if most == "auto" else most

    def employ(self, camera: str) -> PoolWorker:
        """The worker of a camera: the one it had before, else the one with the fewest cameras. A
        new one is made while every worker has a camera and the maximum is not reached."""
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
        """The camera is gone; when it comes back it gets the same worker."""
        self._present -= {camera}

    def of(self, camera: str) -> PoolWorker:
        """The worker of a camera that was here. Raises KeyError."""
        return self._of[camera]

    def start(self) -> None:
        """Starts the threads of workers that have none yet."""
        for number, worker in enumerate(self.all, 1):
            if worker.thread is None:
                name = NAME if number == 1 else f"{NAME}-{number}"
                worker.thread = start_thread(name, worker.judging.run)

    def between(self, action: Callable[[], None], timeout: float) -> bool:
        """Runs `action` on the caller's thread while every worker is paused between two frames.

        False when a worker did not finish its frame within `timeout` seconds: then `action` never
        runs. Raises what `action` raises; the workers go on in every case.
        """
        running = [worker for worker in self.all if worker.thread is not None]
        barrier = threading.Barrier(len(running) + 1)
        for worker in running:
            worker.judging.pause_at(barrier)
        try:
            barrier.wait(timeout)  # a time-out breaks it, also for workers that come later
        except threading.BrokenBarrierError:
            return False
        try:
            action()
        finally:
            barrier.abort()
        return True

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
        """When the slowest worker last made progress, monotonic seconds."""
        return min(worker.judging.beat for worker in self.all)

    def replaced(self, camera: str) -> int:
        """How many frames of this camera were replaced before they were judged."""
        worker = self._of.get(camera)
        return 0 if worker is None else worker.mailbox.replaced(camera)

"""The pool of inspection workers: each has its own thread, mailbox, interpreter and cameras.

A camera always belongs to the same worker. So its verdicts keep their order, and threads share
nothing of a camera. Several workers serve several cameras; they never share one picture.
"""

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from typing import Literal

from edge.core.threads import start_thread
from edge.core.verdict import OUTCOMES, Outcome
from edge.pipeline.worker import InspectionWorker, Pause

NAME = "inspection"
MaxWorkers = Literal["auto"] | int  # auto: the number of cores that the process may use


class WorkerPool:
    """Grows as cameras are added, and never shrinks. `all`: the workers."""

    def __init__(self, limit: MaxWorkers, create: Callable[[int], InspectionWorker]) -> None:
        """Creates the first worker; `create` gets the number of workers that exist."""
        self.set_limit(limit)
        self._create = create
        self.all: tuple[InspectionWorker, ...] = (create(0),)
        self._worker_of: dict[str, InspectionWorker] = {}
        self._present: frozenset[str] = frozenset()

    def set_limit(self, limit: MaxWorkers) -> None:
        """Sets the maximum number of workers; existing workers stay."""
        self._limit = len(os.sched_getaffinity(0)) if limit == "auto" else limit

    def assign(self, camera: str) -> InspectionWorker:
        """The worker of a camera: the one it had before, else the one with the fewest cameras. A
        new one is created while every worker has a camera and the maximum is not reached."""
        worker = self._worker_of.get(camera)
        if worker is None:
            load = {id(one): 0 for one in self.all}
            for name in self._present:
                load[id(self._worker_of[name])] += 1
            worker = min(self.all, key=lambda one: load[id(one)])
            if load[id(worker)] and len(self.all) < self._limit:
                worker = self._create(len(self.all))
                self.all = (*self.all, worker)
            self._worker_of = {**self._worker_of, camera: worker}
        self._present |= {camera}
        return worker

    def keep_only(self, cameras: Collection[str]) -> None:
        """The others are gone. One that returns gets the same worker."""
        self._present &= frozenset(cameras)

    def keep_state(self, undo: ExitStack) -> None:
        """Gives `undo` what takes back later assignments. The threads of workers that came
        meanwhile end."""
        undo.callback(self._restore, self._limit, self.all, self._worker_of, self._present)

    def _restore(
        self,
        limit: int,
        workers: tuple[InspectionWorker, ...],
        worker_of: dict[str, InspectionWorker],
        present: frozenset[str],
    ) -> None:
        new = [worker for worker in self.all if worker not in workers]
        self._limit, self.all, self._worker_of, self._present = limit, workers, worker_of, present
        for worker in new:
            worker.mailbox.close()

    def worker_for(self, camera: str) -> InspectionWorker:
        """The worker of a camera that was assigned. Raises KeyError."""
        return self._worker_of[camera]

    def start(self) -> None:
        """Starts the threads of workers that have none yet."""
        for number, worker in enumerate(self.all, 1):
            if worker.thread is None:
                name = NAME if number == 1 else f"{NAME}-{number}"
                worker.thread = start_thread(name, worker.run)

    def run_paused(
        self,
        action: Callable[[], None],
        timeout: float,
        stopped: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Runs `action` on the caller's thread while every worker is paused between two frames.

        False when a worker did not finish its frame within `timeout` seconds, or `stopped` became
        true before; then `action` never runs. Raises what `action` raises. The workers resume in
        every case.
        """
        running = [one for one in self.all if one.thread is not None and one.thread.is_alive()]
        pause = Pause(len(running))
        try:
            for worker in running:
                worker.pause_at(pause)
            if not pause.wait_for_all(timeout, stopped):
                return False
            action()
        finally:
            pause.ended.set()
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
        """Verdicts by outcome."""
        return {outcome: sum(worker.counts[outcome] for worker in self.all) for outcome in OUTCOMES}

    @property
    def has_backlog(self) -> bool:
        """Whether frames wait for a worker."""
        return any(worker.mailbox.has_work for worker in self.all)

    @property
    def beat(self) -> float:
        """When the slowest worker that was started last made progress, monotonic seconds."""
        started = [worker.beat for worker in self.all if worker.thread is not None]
        return min(started, default=self.all[0].beat)

    def replaced(self, camera: str) -> int:
        """How many frames of this camera were replaced before they were judged."""
        worker = self._worker_of.get(camera)
        return 0 if worker is None else worker.mailbox.replaced(camera)

"""The inspection worker: takes frames from its mailbox, judges them and delivers the verdicts."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.part import PartFrame
from edge.core.verdict import OUTCOMES, Outcome, Verdict
from edge.pipeline.frame_inspector import FrameResult
from edge.pipeline.judges import Judges, PartJudge
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_assembler import Emitted, PartAssembler

log = logging.getLogger(__name__)

_STOP_S = 0.1  # a change that waits for the workers checks for a stop at this interval
TAKE_S = 5.0  # an idle worker shows progress at this interval
# Files of one folder are judged in batches: switching between inspection and delivery for each
# picture would empty the processor's cache. The first verdict of a batch waits for its last
# picture, so a batch ends after _BATCH_S seconds.
_BATCH, _BATCH_S = 16, 0.03


class VerdictSink(Protocol):
    """Receives the verdicts of the workers."""

    def deliver(self, verdict: Verdict) -> None:
        """Stores a verdict for the plant."""
        ...

    def keep(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """May keep or send the pictures of a verdict that was delivered: the first of `frames` is
        the one that it shows."""
        ...

    def keeps_all_frames(self) -> bool:
        """Whether `keep` wants the pictures of all frames of a part."""
        ...


class Pause:
    """Workers wait here between two frames.

    ended: setting it lets the workers go on, also those that come later. It is an event and not a
        method, because a method of ours could fail and leave the workers waiting.
    """

    def __init__(self, workers: int) -> None:
        self.ended = threading.Event()
        self._missing = workers
        self._arrived = threading.Condition()

    def wait_for_all(self, timeout: float, stopped: Callable[[], bool]) -> bool:
        """Whether all workers wait here; False after `timeout` seconds, or when `stopped`."""
        until = time.monotonic() + timeout
        with self._arrived:
            while self._missing and not stopped() and (left := until - time.monotonic()) > 0:
                self._arrived.wait(min(left, _STOP_S))
            return not self._missing

    def arrive(self) -> None:
        """A worker waits here. Returns when the pause has ended."""
        with self._arrived:
            self._missing -= 1
            self._arrived.notify_all()
        self.ended.wait()


class InspectionWorker:
    """The work of one thread, with its own mailbox and judges.

    counts: verdicts by outcome.
    faults: unexpected errors in our own code.
    beat: when it last made progress, monotonic seconds.
    thread: set by the pool that starts it.
    """

    def __init__(self, mailbox: Mailbox, judges: Judges, sink: VerdictSink, clock: Clock) -> None:
        self.mailbox, self.judges = mailbox, judges
        self.thread: threading.Thread | None = None
        self.counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.faults = 0
        self.beat = clock.tick()
        self._sink, self._clock = sink, clock
        self._assembler = PartAssembler(mailbox.trackers, judges, clock, sink.keeps_all_frames)
        self._pauses: queue.SimpleQueue[Pause] = queue.SimpleQueue()

    def pause_at(self, pause: Pause) -> None:
        """Makes the thread wait before its next frame until the pause ends."""
        self._pauses.put(pause)
        self.mailbox.wake()

    def adopt(self, judges: Judges) -> None:
        """Replaces the judges from the next frame on; a part that was begun keeps its judge. To be
        called while the thread is paused."""
        self.judges = judges
        self._assembler.adopt(judges)

    def finish(self, camera: str, reason: str) -> None:
        """Judges the camera's next frame, and ends its open parts with `error`. To be called while
        the thread is paused. Raises nothing."""
        with self._guarded():
            self.run_once(self.mailbox.take_of(camera))
        with self._guarded():
            self._emit(self._assembler.end_parts(camera, reason))

    def run(self) -> None:
        """Until the mailbox is closed and empty. Then every open part gets its `error`."""
        while not self.mailbox.drained:
            self.beat = self._clock.tick()
            self._pause()
            work = self.mailbox.take(self._assembler.seconds_to_deadline(TAKE_S))
            with self._guarded():
                self.run_once(work)
            del work  # frees its picture's memory while the thread waits for the next
        with self._guarded():
            self._emit(self._assembler.finish("the daemon was stopped"))

    def run_once(self, work: Frame | PartFrame | None) -> None:
        """Ends parts that are past their deadline, then judges one frame and delivers its verdicts.

        While nothing else waits, files are judged in batches: first the model runs for all of them,
        then all verdicts are delivered.
        """
        self._emit(self._assembler.overdue())
        if isinstance(work, PartFrame):
            self._emit(self._assembler.add(work))
        elif work is not None:
            for judge, result in self._inspect_batch(work):
                with self._guarded():  # the other frames of the batch still get their verdicts
                    verdicts = judge.conclude(work.camera, [result])
                    self._emit([((result.frame,), verdict) for verdict in verdicts])

    def _inspect_batch(self, frame: Frame) -> list[tuple[PartJudge, FrameResult]]:
        self.beat = begun = self._clock.tick()
        results = [self._inspect(frame)]
        # deadlines of parts are checked between two calls of `run_once`
        if frame.item is None or self.mailbox.trackers:
            return results
        while len(results) < _BATCH:
            self.beat = self._clock.tick()
            if self.beat - begun >= _BATCH_S:
                break
            if (more := self.mailbox.take_more(frame.camera)) is None:
                break
            results.append(self._inspect(more))
        return results

    def _inspect(self, frame: Frame) -> tuple[PartJudge, FrameResult]:
        judge = self.judges.of(frame.recipe)
        return judge, judge.inspect(frame)

    def _pause(self) -> None:
        while not self._pauses.empty():
            self._pauses.get().arrive()
            self.beat = self._clock.tick()

    def _emit(self, emitted: list[Emitted]) -> None:
        for frames, verdict in emitted:
            with self._guarded():  # the others are still delivered
                self._sink.deliver(verdict)
                self.counts[verdict.verdict] += 1
                if frames:
                    self._sink.keep(frames, verdict)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # outermost loop: one frame's fault must not end all judging
            self.faults += 1
            log.exception("inspection: unexpected fault after judging")

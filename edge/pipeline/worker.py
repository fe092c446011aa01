"""The inspection worker: takes frames from its mailbox, judges them and delivers the verdicts."""

import contextlib
import logging
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Protocol

from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.part import PartFrame
from edge.core.verdict import OUTCOMES, Outcome, Verdict
from edge.pipeline.frame_inspector import FrameResult
from edge.pipeline.judge import Judge
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_assembler import PartAssembler, Spoken
from edge.pipeline.part_tracker import PartTracker

log = logging.getLogger(__name__)

_TAKE_S = 5.0  # an idle worker shows progress at this interval
_FAULT = "inspection: unexpected fault after judging"
# Files of one folder are judged in batches, since each picture pushes the program out of the
# processor's cache. A batch ends after _TOGETHER_S seconds, since its first verdict waits for the
# last picture.
_TOGETHER, _TOGETHER_S = 16, 0.03


class VerdictSink(Protocol):
    """Where a worker delivers what it judged."""

    def deliver(self, verdict: Verdict) -> None:
        """Stores a verdict for the plant."""
        ...

    def keep(self, frame: Frame, verdict: Verdict) -> None:
        """May keep or send the picture of a verdict that was delivered."""
        ...


class InspectionWorker:
    """The work of one thread. Public attributes are for `health` and the watchdog."""

    def __init__(
        self,
        mailbox: Mailbox,
        judge: Judge,
        sink: VerdictSink,
        environment: Clock,
        *,
        trackers: Mapping[str, PartTracker] | None = None,
    ) -> None:
        """`trackers`: of the cameras that have a trigger."""
        self.counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.faults = 0
        self.beat = environment.tick()
        self._mailbox, self._judge, self._sink = mailbox, judge, sink
        self._environment = environment
        self._trackers = trackers if trackers is not None else {}
        self._assembly = PartAssembler(self._trackers, judge, environment)
        self._pauses: queue.SimpleQueue[threading.Barrier] = queue.SimpleQueue()

    def pause_at(self, barrier: threading.Barrier) -> None:
        """Makes the thread wait at a barrier before its next frame: until all parties have come,
        and then until the barrier is aborted."""
        self._pauses.put(barrier)
        self._mailbox.wake()

    def adopt(self, judge: Judge) -> None:
        """Judges by another judge from the next frame on; a part that was begun is finished by the
        one that began it. To be called while the thread is paused."""
        self._judge = judge
        self._assembly.adopt(judge)

    def retire(self, camera: str, reason: str) -> None:
        """Ends the camera's open parts with `error`. To be called while the thread is paused."""
        self._say(self._assembly.retire(camera, reason))

    def run(self) -> None:
        """Until the mailbox is closed and empty. Then every part that is open gets its `error`."""
        while not self._mailbox.drained:
            self.beat = self._environment.tick()
            self._pause()
            work = self._mailbox.take(self._assembly.patience(_TAKE_S))
            with self._guarded():
                self.run_once(work)
            del work  # while the next is waited for, its picture's memory is free
        with self._guarded():
            self._say(self._assembly.finish("the daemon was stopped"))

    def run_once(self, work: Frame | PartFrame | None) -> None:
        """Ends parts that are past their deadline, then judges one frame and delivers its verdicts.
        Files are judged in batches while nothing else waits: first all models run, then all
        verdicts are delivered."""
        self._say(self._assembly.overdue())
        if isinstance(work, PartFrame):
            self._say(self._assembly.add(work))
        elif work is not None:
            for finding in self._looks(work):
                self._conclude(finding)

    def _looks(self, frame: Frame) -> list[FrameResult]:
        self.beat = begun = self._environment.tick()
        findings = [self._judge.look(frame)]
        # deadlines of parts are checked between two calls of `run_once`
        if frame.item is None or self._trackers:
            return findings
        while len(findings) < _TOGETHER:
            self.beat = self._environment.tick()
            if self.beat - begun >= _TOGETHER_S:
                break
            if (more := self._mailbox.another(frame.camera)) is None:
                break
            findings.append(self._judge.look(more))
        return findings

    def _conclude(self, finding: FrameResult) -> None:
        frame = finding.frame
        try:
            verdicts = self._judge.conclude(frame.camera, [finding])
            self._say([(frame, verdict) for verdict in verdicts])
        except Exception:  # as in `_guarded`: the other frames of the batch get their verdicts
            self.faults += 1
            log.exception(_FAULT)

    def _pause(self) -> None:
        while not self._pauses.empty():
            barrier = self._pauses.get()
            with contextlib.suppress(threading.BrokenBarrierError):  # aborted: work goes on
                barrier.wait()
                barrier.wait()
            self.beat = self._environment.tick()

    def _say(self, spoken: Spoken) -> None:
        for frame, verdict in spoken:
            self._sink.deliver(verdict)
            self.counts[verdict.verdict] += 1
            if frame is not None:
                self._sink.keep(frame, verdict)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # outermost loop: one frame's fault must not end all judging
            self.faults += 1
            log.exception(_FAULT)

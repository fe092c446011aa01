"""The inspection thread: takes frames, has them judged, hands verdicts on. A frame that comes while
it has nothing to do is judged by the thread that brings it."""

import contextlib
import logging
import queue
from collections.abc import Callable, Iterator, Mapping

from edge.capture.mailbox import Mailbox
from edge.capture.tracker import Tracker
from edge.environment import Environment
from edge.frame import Frame
from edge.operation.assembly import Assembly, Spoken
from edge.operation.errand import Errand
from edge.operation.examiner import Finding
from edge.operation.judge import Judge
from edge.part import Shot
from edge.verdict import OUTCOMES, Outcome, Verdict

log = logging.getLogger(__name__)

_TAKE_S = 5.0  # who has nothing to judge shows progress so often
_FAULT = "inspection: unexpected fault after judging"
# Items of one source are looked at together, since each picture pushes the program out of the
# processor's cache; at most for so long, since the first waits for the last.
_TOGETHER, _TOGETHER_S = 16, 0.03
# A source that was waited for so many times as long as a judgement takes loses nothing when its own
# thread judges.
_IDLE = 2.0


class Judging:
    """One thread's work. Public attributes are for `health` and the watchdog."""

    def __init__(
        self,
        mailbox: Mailbox,
        judge: Judge,
        deliver: Callable[[Verdict], None],
        keep: Callable[[Frame, Verdict], None],
        environment: Environment,
        *,
        trackers: Mapping[str, Tracker] | None = None,
    ) -> None:
        """`deliver` stores a verdict for the plant; `keep` may keep the picture as evidence.
        `trackers`: of the cameras that have a trigger."""
        self.counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.faults = 0
        self.beat = environment.tick()
        self._mailbox, self._judge = mailbox, judge
        self._deliver, self._keep = deliver, keep
        self._environment = environment
        self._trackers = trackers if trackers is not None else {}
        self._assembly = Assembly(self._trackers, judge, environment)
        self._took_s = 0.0  # the last frame
        self._decodes_for: str | None = None  # whose thread decodes pictures that it brings
        self._errands: queue.SimpleQueue[Errand] = queue.SimpleQueue()

    def send(self, errand: Errand) -> None:
        """Has the thread attend an errand between two frames."""
        self._errands.put(errand)
        self._mailbox.wake()

    def at_once(self, frame: Frame, waited_s: float) -> bool:
        """Judges a frame on the caller's thread; its source was waited for so long. False: it has
        to be put into the mailbox."""
        # a thread that has decoded pictures keeps a megabyte for it: one does, beside the worker's
        decodes = frame.encoded is not None and frame.pixels is None
        if decodes and self._decodes_for not in (None, frame.camera):
            return False
        if waited_s < _IDLE * self._took_s or not self._mailbox.enter():
            return False
        if decodes:
            self._decodes_for = frame.camera
        try:
            with self._guarded():
                self.run_once(frame)
        finally:
            self._mailbox.leave()
        return True

    def adopt(self, judge: Judge) -> None:
        """Judges by another judge from the next frame on; a part that was begun is finished by the
        one that began it. To be called in an errand."""
        self._judge = judge
        self._assembly.adopt(judge)

    def retire(self, camera: str, reason: str) -> None:
        """Ends the camera's open parts with `error`. To be called in an errand."""
        if self._decodes_for == camera:
            self._decodes_for = None
        self._say(self._assembly.retire(camera, reason))

    def run(self) -> None:
        """Until the mailbox is closed and empty. Then every part that is open gets its `error`."""
        while not self._mailbox.drained:
            self.beat = self._environment.tick()
            self._run_errands()
            work = self._mailbox.take(self._assembly.patience(_TAKE_S))
            with self._guarded():
                self.run_once(work)
            del work  # while the next is waited for, its picture's memory is free
        with self._guarded():
            self._say(self._assembly.finish("the daemon was stopped"))

    def run_once(self, work: Frame | Shot | None) -> None:
        """Parts past their deadline, then one frame: judged, handed to the outbox, perhaps kept. Of
        a file's frames several, as long as nobody else waits: looked at first, then concluded."""
        self._say(self._assembly.overdue())
        if isinstance(work, Shot):
            self._say(self._assembly.add(work))
        elif work is not None:
            for finding in self._looks(work):
                self._conclude(finding)

    def _looks(self, frame: Frame) -> list[Finding]:
        self.beat = begun = self._environment.tick()
        findings = [self._judge.look(frame)]
        self._took_s = self._environment.tick() - begun
        # parts have deadlines, which are looked at between two pieces of work
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

    def _conclude(self, finding: Finding) -> None:
        frame = finding.frame
        try:
            verdicts = self._judge.conclude(frame.camera, [finding])
            self._say([(frame, verdict) for verdict in verdicts])
        except Exception:  # as in `_guarded`: it must not end those that were looked at with it
            self.faults += 1
            log.exception(_FAULT)

    def _run_errands(self) -> None:
        while not self._errands.empty():
            self._errands.get().attend()
            self.beat = self._environment.tick()

    def _say(self, spoken: Spoken) -> None:
        for frame, verdict in spoken:
            self._deliver(verdict)
            self.counts[verdict.verdict] += 1
            if frame is not None:
                self._keep(frame, verdict)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception:  # outermost loop: one frame's fault must not end all judging
            self.faults += 1
            log.exception(_FAULT)

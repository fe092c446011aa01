"""From the frames of a part to its one verdict. Only the worker's thread closes parts, and only
here: so each part gets exactly one verdict."""

from collections.abc import Mapping

from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.part import Part, PartFrame
from edge.core.verdict import Verdict
from edge.pipeline.frame_inspector import FrameResult
from edge.pipeline.judge import Judge
from edge.pipeline.part_tracker import PartTracker

Spoken = list[tuple[Frame | None, Verdict]]  # each verdict with the frame it shows, if any


class PartAssembler:
    """What was found of each open part so far. Not for use by two threads at once."""

    def __init__(
        self, trackers: Mapping[str, PartTracker], judge: Judge, environment: Clock
    ) -> None:
        """`trackers` of the cameras that have a trigger, by camera; may change."""
        self.discarded = 0  # frames of parts that had their verdict already
        self._trackers = trackers
        self._judge, self._environment = judge, environment
        self._findings: dict[tuple[str, int], list[FrameResult]] = {}
        self._judges: dict[tuple[str, int], Judge] = {}  # who judged a part's first frame

    def adopt(self, judge: Judge) -> None:
        """Sets the judge of every part of which no frame was judged yet."""
        self._judge = judge

    def retire(self, camera: str, reason: str) -> Spoken:
        """Ends the open parts of a camera with `error` verdicts."""
        tracker = self._trackers.get(camera)
        spoken: Spoken = []
        for part in tracker.shut() if tracker is not None else []:
            spoken += self._close(part, reason)
        return spoken

    def add(self, shot: PartFrame) -> Spoken:
        """Judges a frame of a part. Returns the verdicts when it was the last one, or carries a
        fault."""
        part = shot.part
        if shot.refused:
            return self._conclude(part, shot.fault)
        tracker = self._trackers.get(part.camera)
        if tracker is None or not tracker.is_open(part):
            self.discarded += 1
            return []
        if shot.frame is None:
            return self._close(part, shot.fault)
        key = part.camera, part.number
        findings = self._findings.setdefault(key, [])
        _append(findings, self._judges.setdefault(key, self._judge).look(shot.frame))
        if len(findings) < part.frames and findings[-1].fault is None:
            return []
        return self._close(part, None)

    def overdue(self) -> Spoken:
        """The `error` verdicts of parts whose deadline is past."""
        tick = self._environment.tick()
        spoken: Spoken = []
        for tracker in self._trackers.values():
            for shot in tracker.overdue(tick):
                spoken += self.add(shot)
        return spoken

    def finish(self, reason: str) -> Spoken:
        """Refuses all further triggers, and ends every open part with an `error` verdict."""
        spoken: Spoken = []
        for tracker in self._trackers.values():
            for part in tracker.shut():
                spoken += self._close(part, reason)
        return spoken

    def patience(self, most: float) -> float:
        """Seconds until the next deadline, at most `most`."""
        ends = [t.next_deadline() for t in self._trackers.values()]
        tick = self._environment.tick()
        return max(0.0, min([most, *(end - tick for end in ends if end is not None)]))

    def _close(self, part: Part, fault: str | None) -> Spoken:
        spoken = self._conclude(part, fault)
        self._trackers[part.camera].close(part)
        return spoken

    def _conclude(self, part: Part, fault: str | None) -> Spoken:
        findings = self._findings.pop((part.camera, part.number), [])
        judge = self._judges.pop((part.camera, part.number), self._judge)
        shown = max(findings, key=lambda f: f.score, default=None)
        verdicts = judge.conclude(part.camera, findings, part, fault)
        return [(shown.frame if shown else None, verdict) for verdict in verdicts]


def _append(findings: list[FrameResult], new: FrameResult) -> None:
    """Adds a finding; of all frames only the one with the highest score keeps its pixels, since
    a part of many frames would hold them all."""
    worst = max(findings, key=lambda f: f.score, default=None)
    if worst is not None and worst.score >= new.score:
        new = new.without_pixels()
    else:
        findings[:] = [finding.without_pixels() for finding in findings]
    findings.append(new)

"""Turns the frames of a part into its verdict.

Only the worker's thread closes parts, and only here. So each part gets exactly one verdict.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.part import Part, PartFrame
from edge.core.verdict import Verdict
from edge.pipeline.frame_inspector import FrameResult
from edge.pipeline.judges import Judges, PartJudge
from edge.pipeline.part_tracker import PartTracker

# The frames of a verdict, the one that it shows first, then the part's others in order of capture;
# none without a frame. Only the first has a picture unless all are kept.
Emitted = tuple[tuple[Frame, ...], Verdict]


class PartAssembler:
    """The results of each open part so far. Not for use by two threads at once."""

    def __init__(
        self,
        trackers: Mapping[str, PartTracker],
        judges: Judges,
        clock: Clock,
        keeps_all_frames: Callable[[], bool] = lambda: False,
    ) -> None:
        """Parameters:

        trackers: of the cameras that have a trigger, by camera; may change.
        keeps_all_frames: whether the pictures of all frames of a part are wanted as evidence.
        """
        self.discarded = 0  # frames of parts that had their verdict already
        self._trackers = trackers
        self._judges, self._clock = judges, clock
        self._keeps_all_frames = keeps_all_frames
        self._results: dict[tuple[str, int], list[FrameResult]] = {}
        self._judge_of: dict[tuple[str, int], PartJudge] = {}  # from a part's first frame on

    def adopt(self, judges: Judges) -> None:
        """Sets the judges of every part of which no frame was judged yet."""
        self._judges = judges

    def add(self, part_frame: PartFrame) -> list[Emitted]:
        """Judges a frame of a part. Returns the verdicts when it was the last one, or carries a
        fault."""
        part = part_frame.part
        if part_frame.refused:
            return self._conclude(part, part_frame.fault)
        tracker = self._trackers.get(part.camera)
        if tracker is None or not tracker.is_open(part):
            self.discarded += 1
            return []
        if part_frame.frame is None:
            return self._close(part, part_frame.fault)
        key = part.camera, part.number
        results = self._results.setdefault(key, [])
        judge = self._judge_of.setdefault(key, self._judges.of(part.recipe))
        result = judge.inspect(part_frame.frame)
        if self._keeps_all_frames():
            results.append(replace(result, frame=result.frame.compact()))
        else:
            _append(results, result)
        if len(results) < part.frames and results[-1].fault is None:
            return []
        return self._close(part, None)

    def overdue(self) -> list[Emitted]:
        """The `error` verdicts of parts whose deadline is past."""
        tick = self._clock.tick()
        late = [one for tracker in self._trackers.values() for one in tracker.overdue(tick)]
        return [emitted for part_frame in late for emitted in self.add(part_frame)]

    def end_parts(self, camera: str, reason: str) -> list[Emitted]:
        """Refuses all further triggers of a camera, and ends its open parts with `error`."""
        tracker = self._trackers.get(camera)
        parts = tracker.stop_accepting() if tracker is not None else []
        return [emitted for part in parts for emitted in self._close(part, reason)]

    def finish(self, reason: str) -> list[Emitted]:
        """The same for all cameras."""
        return [emitted for camera in self._trackers for emitted in self.end_parts(camera, reason)]

    def seconds_to_deadline(self, limit: float) -> float:
        """Seconds until the next deadline, at most `limit`."""
        ends = [t.next_deadline() for t in self._trackers.values()]
        tick = self._clock.tick()
        return max(0.0, min([limit, *(end - tick for end in ends if end is not None)]))

    def _close(self, part: Part, fault: str | None) -> list[Emitted]:
        emitted = self._conclude(part, fault)
        self._trackers[part.camera].close(part)
        return emitted

    def _conclude(self, part: Part, fault: str | None) -> list[Emitted]:
        results = self._results.pop((part.camera, part.number), [])
        judge = self._judge_of.pop((part.camera, part.number), None)
        judge = judge or self._judges.of(part.recipe)
        shown = max(results, key=lambda r: r.score, default=None)
        verdicts = judge.conclude(part.camera, results, part, fault)
        others = [result for result in results if result is not shown]
        frames = tuple(result.frame for result in ([shown] if shown else []) + others)
        return [(frames, verdict) for verdict in verdicts]


def _append(results: list[FrameResult], new: FrameResult) -> None:
    """Adds a result. Only the frame with the highest score keeps its pixels: a part of many frames
    would hold them all."""
    worst = max(results, key=lambda r: r.score, default=None)
    if worst is not None and worst.score >= new.score:
        new = new.without_pixels()
    else:
        results[:] = [result.without_pixels() for result in results]
    results.append(new)

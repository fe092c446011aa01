"""A camera with a trigger, with its tracker, mailbox and worker, on a clock that a test sets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config import TriggerConfig
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.frame import Frame
from edge.core.verdict import Verdict
from edge.core.view import ViewConfig
from edge.inspection.view_crop import ViewCrop
from edge.pipeline.frame_inspector import CameraProfile
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.worker import InspectionWorker
from tests.support.clock import FakeClock
from tests.support.frames import solid
from tests.support.scripted_model import ScriptedModel, Sink, inspector_with


class RedIsBad(ScriptedModel):
    """P(red) is how red the picture is. `takes_s`: seconds for one picture."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__([], lambda: None)
        self.clock, self.takes_s = clock, 0.0
        self.fails = False

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classifies."""
        self.clock.at += self.takes_s
        if self.fails:
            raise RuntimeError("invoke failed")
        red = float(picture[..., 0].mean()) / 255
        return np.array([1 - red, red], np.float32)


class TriggeredCamera:
    """A camera with a trigger, from its tracker to its verdicts, on a clock that a test sets."""

    def __init__(
        self,
        trigger: dict[str, Any],
        view: dict[str, Any] | None = None,
        *,
        keeps_all_frames: bool = False,
    ) -> None:
        self.clock = FakeClock()
        environment = Clock(self.clock.now, self.clock.tick)
        config = TriggerConfig.read({"kind": "request", **trigger})
        crop = ViewCrop(ViewConfig.read(view or {}))
        self.model = RedIsBad(self.clock)
        judge = Judge(
            inspector_with(self.model),
            Provenance("line1", "0123456789ab", "b-1"),
            environment,
            2000,
            profiles={"top": CameraProfile(crop, config)},
        )
        self.tracker = PartTracker("top", config, environment)
        self.mailbox = Mailbox({"top": self.tracker})
        self.verdicts: list[Verdict] = []
        self.kept: list[Sequence[Frame]] = []  # of each verdict
        self.worker = InspectionWorker(
            self.mailbox,
            Judges(judge),
            Sink(
                self.verdicts.append,
                lambda frames, _verdict: self.kept.append(frames),
                keeps_all_frames=keeps_all_frames,
            ),
            environment,
        )
        self.seq = 0

    def trigger(self, name: str | None = None) -> bool:
        """Announces a part. Whether it was accepted."""
        try:
            self.tracker.trigger("request", name)
        except TriggerError:
            return False
        return True

    def show(self, red: int | NDArray[np.uint8] = 0, fault: str | None = None) -> None:
        """The camera delivers a frame."""
        self.seq += 1
        pixels = solid(red) if isinstance(red, int) else red
        at = self.clock.at
        self.mailbox.offer(Frame("top", self.seq, None if fault else pixels, at, at, fault=fault))

    def judge(self) -> None:
        """Runs the worker until the mailbox is empty."""
        while (work := self.mailbox.take(0)) is not None:
            self.worker.run_once(work)
        self.worker.run_once(None)

    def stop(self) -> None:
        """Stops as the daemon does; the worker ends on the test's thread."""
        self.mailbox.close()
        self.worker.run()

    def outcomes(self) -> list[tuple[str | None, str]]:
        """Part and verdict, in order."""
        return [(v.part, v.verdict) for v in self.verdicts]

"""A camera with a trigger, and all between it and the outbox, under a clock that a test turns."""

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
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.worker import InspectionWorker
from tests.support.clock import FakeClock
from tests.support.frames import solid
from tests.support.scripted_model import ScriptedModel, Sink, inspector_with


class RedIsBad(ScriptedModel):
    """P(red) is how red the picture is; it may take its time, or fail."""

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


class Line:
    """A camera with a trigger, and all between it and the outbox, under a clock that a test
    turns. `verdicts` is what the plant would get."""

    def __init__(self, trigger: dict[str, Any], view: dict[str, Any] | None = None) -> None:
        self.clock = FakeClock()
        environment = Clock(self.clock.now, self.clock.tick)
        config = TriggerConfig.read({"kind": "request", **trigger})
        framing = ViewCrop(ViewConfig.read(view or {}))
        self.model = RedIsBad(self.clock)
        judge = Judge(
            inspector_with(self.model),
            Provenance("line1", "0123456789ab", "b-1"),
            environment,
            2000,
            manners={"top": CameraProfile(framing, config)},
        )
        self.tracker = PartTracker("top", config, environment)
        self.mailbox = Mailbox({"top": self.tracker})
        self.verdicts: list[Verdict] = []
        self.kept: list[Frame] = []
        self.judging = InspectionWorker(
            self.mailbox,
            judge,
            Sink(self.verdicts.append, lambda frame, _verdict: self.kept.append(frame)),
            environment,
            trackers={"top": self.tracker},
        )
        self.seq = 0

    def trigger(self, name: str | None = None) -> bool:
        """Whether it was taken."""
        try:
            self.tracker.trigger("request", name)
        except TriggerError:
            return False
        return True

    def show(self, red: int | NDArray[np.uint8] = 0, fault: str | None = None) -> None:
        """The camera delivers a frame of now."""
        self.seq += 1
        pixels = solid(red) if isinstance(red, int) else red
        at = self.clock.at
        self.mailbox.offer(Frame("top", self.seq, None if fault else pixels, at, at, fault=fault))

    def judge(self) -> None:
        """The thread of inspection does all it can do now."""
        while (work := self.mailbox.take(0)) is not None:
            self.judging.run_once(work)
        self.judging.run_once(None)

    def stop(self) -> None:
        """The daemon stops: the thread of inspection ends in the test's own."""
        self.mailbox.close()
        self.judging.run()

    def said(self) -> list[tuple[str | None, str]]:
        """Part and verdict, in order."""
        return [(v.part, v.verdict) for v in self.verdicts]

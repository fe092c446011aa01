"""Repeated pictures and the part that waits for one: from the camera to the tracker."""

from typing import Any

import pytest

from edge.capture.camera import CameraRead, Pixels
from edge.capture.reader import Reader
from edge.config import TriggerConfig
from edge.core.clock import Clock, StopEvent
from edge.core.part import PartFrame
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from tests.edge.capture.conftest import ScriptedCamera, camera_config, noise
from tests.support.clock import FakeClock

_EVERY_S = 0.1


class TriggeredReader:
    """A reader, a mailbox and a tracker. The camera's driver stamps each picture."""

    def __init__(self, clock: FakeClock, environment: Clock, **options: Any) -> None:
        config = TriggerConfig.read({"kind": "request", "deadline_ms": 1000})
        self.tracker = PartTracker("top", config, environment)
        self.mailbox = Mailbox({"top": self.tracker})
        self.clock, self.environment = clock, environment
        self.options = options

    def run(self, pictures: list[Pixels], at: int) -> list[PartFrame]:
        """A picture every 0.1 s. The trigger comes just before picture number `at`, from 0."""
        stop = StopEvent()
        config = camera_config("test:", **self.options)
        camera = ScriptedCamera([])
        left = list(enumerate(pictures))

        def deliver() -> None:
            if not left:
                stop.set()
                return
            number, pixels = left.pop(0)
            self.clock.at += _EVERY_S / 2
            if number == at:
                self.tracker.trigger("request", "P")
            self.clock.at += _EVERY_S / 2
            camera.steps.append(CameraRead(pixels, captured_tick=self.clock.at))

        camera.on_read = deliver
        Reader(config, lambda: camera, self.mailbox, self.environment, stop).run()
        shots = []
        while isinstance(shot := self.mailbox.take(0), PartFrame):
            shots.append(shot)
        return shots + self.tracker.overdue(self.clock.at)


@pytest.fixture
def triggered_reader(clock: FakeClock, environment: Clock) -> Any:
    """`triggered_reader(frozen_after=5)`."""
    return lambda **options: TriggeredReader(clock, environment, **options)


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_part_outlives_repeats_and_gets_the_first_new_picture(
    triggered_reader: Any, repeats: int
) -> None:
    """Fewer identical pictures than frozen_after end no part: it gets the first new one, and none
    from before its trigger."""
    fresh = noise(2)
    (shot,) = triggered_reader().run(
        [noise(1), *[noise(1) for _ in range(repeats)], fresh, noise(3)], at=1
    )
    assert shot.fault is None
    assert shot.frame.pixels is fresh


def test_a_part_on_a_frozen_camera_is_an_error(triggered_reader: Any) -> None:
    """Identical picture number frozen_after ends the part, though each has a new time stamp."""
    shots = triggered_reader().run([noise(1) for _ in range(8)], at=1)
    assert [shot.frame for shot in shots] == [None]
    assert shots[0].fault == "camera frozen: the same picture 5 times in a row"


def test_a_part_with_only_repeats_names_the_cause(triggered_reader: Any) -> None:
    """When the deadline comes before frozen_after, the part is an error with the cause; it gets no
    repeated picture."""
    (shot,) = triggered_reader(frozen_after=50).run([noise(1) for _ in range(12)], at=1)
    assert shot.frame is None
    assert "0 of 1 frames came within 1 s" in shot.fault
    assert "(camera: the same picture 12 times in a row, which is judged once)" in shot.fault


def test_an_allowed_still_scene_gives_a_picture_after_the_trigger(
    triggered_reader: Any,
) -> None:
    """With `frozen_after: null` a part gets the first picture taken after its trigger."""
    pictures = [noise(1) for _ in range(6)]
    (shot,) = triggered_reader(frozen_after=None).run(pictures, at=3)
    assert shot.frame.pixels is pictures[3]
    assert shot.frame.captured_tick > shot.part.tick

"""A camera whose recipe changes: each frame counts by the settings of its own recipe."""

import numpy as np

from edge.capture.camera import CameraRead
from edge.config import CameraConfig, TrustConfig
from tests.edge.capture.conftest import ScriptedCamera, camera_config, noise
from tests.edge.capture.reader_harness import MakeHarness, lost
from tests.support.clock import FakeClock

PLAIN = camera_config("v4l2:/dev/video0", settle_steady=False)


class Current:
    """The recipe is 1 until `changed_at`, then 2, which has other settings."""

    def __init__(self, changed_at: float, second: CameraConfig) -> None:
        self.changed_at, self.second = changed_at, second

    def __call__(self, tick: float) -> tuple[int | None, CameraConfig]:
        """As `SettingsAt`."""
        return (1, PLAIN) if tick < self.changed_at else (2, self.second)


def test_other_controls_open_the_camera_again(make_harness: MakeHarness, clock: FakeClock) -> None:
    """A frame of before the change is judged by recipe 1, none that was taken with the controls of
    recipe 1 is judged by recipe 2, and the camera is opened again without a pause."""
    current = Current(clock.at + 1, PLAIN.replace(controls={"gain": 4}))
    harness = make_harness("v4l2:/dev/video0", settings_at=current, settle_steady=False)
    first = ScriptedCamera(
        [
            noise(1),
            CameraRead(noise(2), captured_tick=clock.at),
            noise(3),
            noise(4),
        ]
    )
    first.on_read = lambda: setattr(clock, "at", clock.at + 0.4)
    second = ScriptedCamera([noise(5), lost()])
    frames = harness.run(first, second)
    judged = [(frame.seq, frame.recipe) for frame in frames if frame.fault is None]
    assert judged == [(1, 1), (2, 1), (3, 2)]
    assert first.closed == 1
    assert first.steps == [] or len(first.steps) == 1
    assert harness.reader.reconnects <= 1  # of the end of the script, not of the change


def test_trust_limits_are_those_of_the_frame_s_recipe(
    make_harness: MakeHarness, clock: FakeClock
) -> None:
    """A dark picture is a fault for recipe 1, and judged by recipe 2, which allows it; the camera
    is not opened again."""
    dark = TrustConfig(dark_below=0, min_contrast=0)
    current = Current(clock.at + 1, PLAIN.replace(trust=dark))
    harness = make_harness("v4l2:/dev/video0", settings_at=current, settle_steady=False)
    pictures = [np.full((32, 32, 3), level, np.uint8) for level in (5, 6, 7, 8)]
    camera = ScriptedCamera([*pictures, lost()])
    camera.on_read = lambda: setattr(clock, "at", clock.at + 0.4)
    frames = harness.run(camera)
    found = [(frame.recipe, frame.fault is None) for frame in frames[:4]]
    assert found == [(1, False), (1, False), (2, True), (2, True)]
    assert "dark" in str(frames[0].fault)

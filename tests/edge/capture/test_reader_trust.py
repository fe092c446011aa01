"""Which pictures of a live camera are accepted."""

from typing import Any

import cv2
import numpy as np
import pytest

from edge.capture.camera import CameraRead, Pixels
from tests.edge.capture.conftest import ScriptedCamera, noise
from tests.edge.capture.reader_harness import MakeHarness, lost
from tests.support.clock import FakeClock


def test_frozen_camera_is_rejected(make_harness: MakeHarness) -> None:
    """A picture that equals the one before is not judged again; from number `frozen_after` on, each
    is a fault without pixels."""
    harness = make_harness(frozen_after=3)
    frames = harness.run(ScriptedCamera([*[noise(9) for _ in range(5)], noise(10), lost()]))
    assert [frame.fault is None for frame in frames[:5]] == [True, False, False, False, True]
    assert all(frame.pixels is None for frame in frames[1:4])
    assert "the same picture 3 times in a row" in str(frames[1].fault)
    assert (harness.reader.frozen, harness.reader.repeated) == (3, 1)
    assert harness.reader.distrusted == {"frozen": 3, "lost": 2}


def test_noise_is_not_frozen(make_harness: MakeHarness) -> None:
    """Pictures that differ in any one pixel are fresh."""
    harness = make_harness(frozen_after=2)
    pictures = [noise(9) for _ in range(4)]
    for number, pixels in enumerate(pictures):
        pixels[7 + number // 2, 0, 0] = number
    frames = harness.run(ScriptedCamera([*pictures, lost()]))
    assert [frame.fault is None for frame in frames[:4]] == [True] * 4


def test_a_still_scene_can_be_allowed(make_harness: MakeHarness) -> None:
    """With `frozen_after: null` identical pictures are all judged, also after a new start."""
    harness = make_harness(frozen_after=None)
    still = [noise(9) for _ in range(20)]
    frames = harness.run(ScriptedCamera([*still, lost()]), ScriptedCamera([noise(9), lost()]))
    assert [frame.fault is None for frame in frames] == [True] * 20 + [False, True, False]
    assert (harness.reader.frozen, harness.reader.repeated) == (0, 0)


def test_reopened_camera_must_show_a_new_picture(make_harness: MakeHarness) -> None:
    """A picture that equals the last one before a reconnect is not judged: it may be old."""
    harness = make_harness(frozen_after=2)
    frames = harness.run(
        ScriptedCamera([noise(9), lost()]), ScriptedCamera([noise(9), noise(10), lost()])
    )
    assert [frame.fault is None for frame in frames] == [True, False, False, True, False]
    assert "the same picture 2 times" in str(frames[2].fault)


def test_camera_that_stays_frozen_is_opened_again(
    make_harness: MakeHarness, clock: FakeClock
) -> None:
    """When rejections that a new start may end last for timeout_s, the camera is opened again.
    `health` keeps the reason."""
    harness = make_harness(frozen_after=2, timeout_s=5)
    still = ScriptedCamera([noise(9) for _ in range(20)])
    still.on_read = lambda: setattr(clock, "at", clock.at + 1)  # each look takes a second
    frames = harness.run(still, ScriptedCamera([noise(10), lost()]))
    assert still.closed == 1
    assert len(still.steps) == 20 - 7
    assert "the camera is opened again" in str(frames[-3].fault)
    assert frames[-2].fault is None


@pytest.mark.parametrize(
    ("kind", "picture", "options"),
    [
        ("dark", noise(1) // 20, {}),
        ("bright", 255 - noise(1) // 60, {}),
        ("covered", 100 + noise(1) // 40, {}),
        ("wrong_size", noise(1, side=33), {"width": 32, "height": 32}),
        ("blurred", cv2.blur(noise(1), (9, 9)), {"trust": {"min_focus": 500}}),
    ],
)
def test_rejected_picture_is_a_fault(
    make_harness: MakeHarness, kind: str, picture: Pixels, options: dict[str, Any]
) -> None:
    """Each kind of rejection is a fault without pixels, with its own counter and state. It ends
    with the next good picture."""
    harness = make_harness(**options)
    states: list[str] = []
    script = ScriptedCamera([noise(2), picture.astype(np.uint8), noise(3), lost()])
    script.on_read = lambda: states.append(harness.reader.state)
    frames = harness.run(script)
    assert [frame.fault is None for frame in frames] == [True, False, True, False]
    assert frames[1].pixels is None
    assert states == ["starting", "live", kind, "live"]
    assert harness.reader.distrusted[kind] == 1


def test_first_picture_sets_the_size(make_harness: MakeHarness) -> None:
    """Without a configured size that of the first picture counts, also after the camera was opened
    again: another size is rejected until config.yaml names it."""
    harness = make_harness()
    frames = harness.run(
        ScriptedCamera([noise(1), lost()]), ScriptedCamera([noise(2, side=40), lost()])
    )
    assert "wrong size: 40×40, not 32×32" in str(frames[2].fault)


def test_old_picture_is_stale(make_harness: MakeHarness, clock: FakeClock) -> None:
    """A picture older than trust.max_age_s by the driver's time is not judged. A younger one keeps
    the driver's time."""
    harness = make_harness(trust={"max_age_s": 0.5})
    looks = [CameraRead(noise(n), captured_tick=clock.at - age) for n, age in enumerate((0.4, 0.6))]
    frames = harness.run(ScriptedCamera([*looks, lost()]))
    assert frames[0].fault is None
    assert frames[0].captured_tick == pytest.approx(999.6)
    assert "stale: taken 0.60 s ago (trust.max_age_s 0.5)" in str(frames[1].fault)
    assert harness.reader.distrusted["stale"] == 1

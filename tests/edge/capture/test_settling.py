"""A camera whose exposure or colour settles after each opening: nothing is judged before."""

from typing import Any

import numpy as np
import pytest

from edge.capture.camera import CameraRead, Pixels
from edge.capture.settling import STEADY_LIMIT_S, Settling
from tests.edge.capture.conftest import ScriptedCamera, Step, camera_config
from tests.edge.capture.reader_harness import MakeHarness, lost
from tests.support.clock import FakeClock

HTTP = "http://camera/video"


def scene(
    number: int, bright: float = 1.0, colour: tuple[float, float, float] = (1, 1, 1)
) -> Pixels:
    """A noisy scene with a part, uint8 (48, 64, 3), at this exposure and white balance."""
    pixels = np.full((48, 64, 3), (90, 60, 40), np.float32)
    pixels[10:30, 10:40] += 60
    pixels += np.random.default_rng(number).normal(0, 6, pixels.shape)
    shown: Pixels = np.clip(pixels * bright * np.array(colour), 0, 255).astype(np.uint8)
    return shown


def first_judged(config: dict[str, Any], pictures: list[Pixels], fps: float = 10.0) -> int | None:
    """The index of the first picture that is judged."""
    settling = Settling(camera_config(HTTP, **config))
    for number, pixels in enumerate(pictures):
        if settling.add(pixels, 100 + number / fps) is None:
            return number
    return None


RAMPS = {
    "linear in 2.5 s": [min(1.0, 0.12 + 0.035 * n) for n in range(200)],
    "linear in 9 s": [min(1.0, 0.1 + 0.01 * n) for n in range(200)],
    "linear in 18 s": [min(1.0, 0.1 + 0.005 * n) for n in range(250)],
    "from too bright": [max(1.0, 3 - 0.08 * n) for n in range(200)],
    "overshoots and comes back": [1 + 0.8 * 0.85**n * np.cos(n / 3) for n in range(200)],
    "in steps": [0.25 if n < 5 else 0.5 if n < 11 else 1.0 for n in range(200)],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RAMPS)
@pytest.mark.parametrize("fps", [10.0, 25.0, 2.0])
def test_no_picture_is_judged_before_the_exposure_is_steady(name: str, fps: float) -> None:
    """By default a network camera is judged within 3 % of its final brightness, and within some
    seconds after it has reached it."""
    ramp = (
        RAMPS[name]
        if fps == 10
        else np.interp(
            np.arange(int(25 * fps)) / fps, np.arange(len(RAMPS[name])) / 10, RAMPS[name]
        )
    )
    judged = first_judged({}, [scene(n, float(b)) for n, b in enumerate(ramp)], fps)
    assert judged is not None
    assert abs(ramp[judged] - 1) < 0.05
    assert judged >= max(4, fps)


def test_white_balance_must_be_steady_too() -> None:
    """Brightness alone is no proof: the colours may still move."""
    pictures = [scene(n, colour=(1, 1, min(1.0, 0.5 + n / 80))) for n in range(80)]
    judged = first_judged({}, pictures)
    assert judged is not None
    assert judged >= 40


def test_parts_that_pass_do_not_count_as_exposure() -> None:
    """A part that moves through a third of the picture keeps no camera from being judged."""
    pictures = []
    for number in range(40):
        pixels = scene(number)
        left = number * 11 % 64
        pixels[:, left : left + 20] = 230
        pictures.append(pixels)
    assert first_judged({}, pictures) == 10


def test_a_scene_without_steady_light_is_judged_after_the_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A lamp that flickers for ever does not stop the line; the log says what to do."""
    pictures = [scene(n, 0.5 + 0.5 * (n % 2)) for n in range(400)]
    assert first_judged({}, pictures) == STEADY_LIMIT_S * 10
    assert "is judged from now on: fix exposure and white balance" in caplog.text


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"settle_steady": False}, 0),
        ({"settle_steady": False, "settle_s": 1.5}, 15),
        ({"settle_steady": False, "settle_frames": 12}, 12),
        ({"settle_steady": False, "settle_frames": 12, "settle_s": 2.0}, 20),
        ({"settle_s": 2.0}, 20),
        ({"settle_s": 0.2}, 10),
    ],
)
def test_all_conditions_must_be_met(config: dict[str, Any], expected: int) -> None:
    """`settle_s`, `settle_frames` and `settle_steady` add up to the latest of them."""
    assert first_judged(config, [scene(n) for n in range(60)]) == expected


@pytest.mark.parametrize(
    ("source", "waits"),
    [
        *((source, True) for source in ("v4l2:/dev/video0", HTTP, "https://c/v", "rtsp://c/v")),
        ("picamera:0", True),
        *((source, False) for source in ("pylon:1", "gstreamer:x", "test:", "folder:/a")),
    ],
)
def test_only_cameras_with_automatic_exposure_wait_by_default(source: str, *, waits: bool) -> None:
    """A test pattern, a folder and an industrial camera are judged from their first picture."""
    assert camera_config(source).waits_until_steady is waits


def test_nothing_is_judged_after_each_opening(make_harness: MakeHarness, clock: FakeClock) -> None:
    """Until it has settled the camera is `starting`, without verdicts, also when it comes back and
    also while it is still dark. A damaged picture is an `error` as always."""
    harness = make_harness(settle_s=2.0)
    states: list[str] = []

    def one_opening(seed: int) -> ScriptedCamera:
        dark = scene(seed, 0.1)
        pictures: list[Step] = [dark, *(scene(seed + n) for n in (1, 2, 3)), lost()]
        camera = ScriptedCamera(pictures)

        def turn() -> None:
            states.append(harness.reader.state)
            clock.at += 1.0

        camera.on_read = turn
        return camera

    frames = harness.run(one_opening(10), one_opening(20))
    assert [frame.fault is None for frame in frames] == [True, True, False, True, True, False]
    assert states == ["starting"] * 3 + ["live"] * 2 + ["lost"] + ["starting"] * 2 + ["live"] * 2
    assert "dark" not in harness.reader.distrusted


def test_a_picture_from_before_the_time_is_not_judged(
    make_harness: MakeHarness, clock: FakeClock
) -> None:
    """The time of the picture counts, not that of its arrival."""
    harness = make_harness(settle_s=0.5)
    steps = [CameraRead(scene(n), captured_tick=clock.at - 0.9 + n * 0.1) for n in range(8)]
    frames = harness.run(ScriptedCamera([*steps, lost()]))
    assert [frame.fault is None for frame in frames] == [True] * 3 + [False]

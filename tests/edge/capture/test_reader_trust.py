"""Which pictures of a live camera are believed."""

from typing import Any

import cv2
import numpy as np
import pytest

from edge.capture.camera import CameraRead, Pixels
from tests.edge.capture.conftest import ScriptedCamera, noise
from tests.edge.capture.reader_harness import Build, lost
from tests.support.clock import FakeClock


def test_frozen_camera_is_not_believed(house: Build) -> None:
    """A picture that equals the one before is not judged again; from the frozen_after-th on, each
    is a fault without pixels."""
    home = house(frozen_after=3)
    frames = home.run(ScriptedCamera([*[noise(9) for _ in range(5)], noise(10), lost()]))
    assert [frame.fault is None for frame in frames[:5]] == [True, False, False, False, True]
    assert all(frame.pixels is None for frame in frames[1:4])
    assert "the same picture 3 times in a row" in str(frames[1].fault)
    assert (home.reader.frozen, home.reader.repeated) == (3, 1)
    assert home.reader.distrusted == {"frozen": 3, "lost": 2}


def test_noise_is_not_frozen(house: Build) -> None:
    """Pictures that differ in one pixel, wherever it is, are fresh."""
    home = house(frozen_after=2)
    pictures = [noise(9) for _ in range(4)]
    for number, pixels in enumerate(pictures):
        pixels[7 + number // 2, 0, 0] = number
    frames = home.run(ScriptedCamera([*pictures, lost()]))
    assert [frame.fault is None for frame in frames[:4]] == [True] * 4


def test_a_still_scene_can_be_allowed(house: Build) -> None:
    """With `frozen_after: null` equal pictures are judged one by one, also after a new start."""
    home = house(frozen_after=None)
    still = [noise(9) for _ in range(20)]
    frames = home.run(ScriptedCamera([*still, lost()]), ScriptedCamera([noise(9), lost()]))
    assert [frame.fault is None for frame in frames] == [True] * 20 + [False, True, False]
    assert (home.reader.frozen, home.reader.repeated) == (0, 0)


def test_reopened_camera_must_show_something_new(house: Build) -> None:
    """A picture equal to the last before a reconnect was not taken since: it is not judged."""
    home = house(frozen_after=2)
    frames = home.run(
        ScriptedCamera([noise(9), lost()]), ScriptedCamera([noise(9), noise(10), lost()])
    )
    assert [frame.fault is None for frame in frames] == [True, False, False, True, False]
    assert "the same picture 2 times" in str(frames[2].fault)


def test_camera_that_stays_frozen_is_opened_again(house: Build, clock: FakeClock) -> None:
    """When doubts that a new start may end last for timeout_s, the camera is opened again, and
    `health` goes on to say what was wrong."""
    home = house(frozen_after=2, timeout_s=5)
    still = ScriptedCamera([noise(9) for _ in range(20)])
    still.on_read = lambda: setattr(clock, "at", clock.at + 1)  # each look takes a second
    frames = home.run(still, ScriptedCamera([noise(10), lost()]))
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
def test_untrustworthy_picture_is_a_fault(
    house: Build, kind: str, picture: Pixels, options: dict[str, Any]
) -> None:
    """Each thing that makes a picture untrustworthy is a fault without pixels, a counter and a
    state of its own, and ends with the next good picture."""
    home = house(**options)
    states: list[str] = []
    script = ScriptedCamera([noise(2), picture.astype(np.uint8), noise(3), lost()])
    script.on_read = lambda: states.append(home.reader.state)
    frames = home.run(script)
    assert [frame.fault is None for frame in frames] == [True, False, True, False]
    assert frames[1].pixels is None
    assert states == ["starting", "live", kind, "live"]
    assert home.reader.distrusted[kind] == 1


def test_first_picture_sets_the_size_for_good(house: Build) -> None:
    """Without a configured size the first picture's counts, also after the camera was opened
    again: another size is refused until somebody says that it is right."""
    home = house()
    frames = home.run(
        ScriptedCamera([noise(1), lost()]), ScriptedCamera([noise(2, side=40), lost()])
    )
    assert "wrong size: 40×40, not 32×32" in str(frames[2].fault)


def test_old_picture_is_stale(house: Build, clock: FakeClock) -> None:
    """A picture whose driver says that it is older than trust.max_age_s is not judged; a younger
    one carries the driver's time."""
    home = house(trust={"max_age_s": 0.5})
    looks = [CameraRead(noise(n), captured_tick=clock.at - age) for n, age in enumerate((0.4, 0.6))]
    frames = home.run(ScriptedCamera([*looks, lost()]))
    assert frames[0].fault is None
    assert frames[0].captured_tick == pytest.approx(999.6)
    assert "stale: taken 0.60 s ago (trust.max_age_s 0.5)" in str(frames[1].fault)
    assert home.reader.distrusted["stale"] == 1

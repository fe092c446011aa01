"""`replay:` plays every picture exactly once, in order, at its rate."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.capture.sources.replay import ReplayCamera
from edge.core.clock import Clock
from edge.core.errors import CameraError
from tests.conftest import WritePicture
from tests.support.clock import FakeClock, Patience


def play(
    path: Path,
    environment: Clock,
    patience: Patience,
    rate: Literal["max"] | float = "max",
    loop: int = 1,
) -> list[str | None]:
    """The names of all played pictures."""
    camera = ReplayCamera(path, rate, loop, environment)
    played = []
    while (look := camera.read(patience)) is not None:
        played.append(look.item)
    camera.close()
    return played


def test_every_picture_exactly_once_in_order(
    tmp_path: Path, environment: Clock, patience: Patience, write_picture: WritePicture
) -> None:
    """All pictures, also in subfolders, come in the order of their paths."""
    for name in ("b/2.png", "b/1.jpg", "a/3.bmp", "c.jpeg"):
        write_picture(f"set/{name}")
    (tmp_path / "set/notes.txt").write_text("x")
    expected = ["a/3.bmp", "b/1.jpg", "b/2.png", "c.jpeg"]
    assert play(tmp_path / "set", environment, patience) == expected


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loop=st.integers(1, 4))
def test_loop_plays_all_n_times(
    loop: int, environment: Clock, clock: FakeClock, write_picture: WritePicture
) -> None:
    """`loop: N` plays everything N times, then ends."""
    folder = write_picture("set/a.png").parent
    write_picture("set/b.png")
    played = play(folder, environment, Patience(clock), loop=loop)
    assert played == ["a.png", "b.png"] * loop


@pytest.mark.parametrize("rate", [0.5, 2.0, 25.0])
def test_rate_is_kept(
    rate: float,
    environment: Clock,
    clock: FakeClock,
    patience: Patience,
    write_picture: WritePicture,
) -> None:
    """At a rate of N a second, N pictures take a second by the clock."""
    folder = write_picture("set/0.png").parent
    for number in range(1, 5):
        write_picture(f"set/{number}.png")
    camera = ReplayCamera(folder, rate, 1, environment)
    start, ticks = clock.at, []
    for _ in range(5):
        assert camera.read(patience) is not None
        ticks.append(clock.at - start)
    assert ticks == pytest.approx([number / rate for number in range(5)])


def test_late_replay_makes_no_burst(
    environment: Clock, clock: FakeClock, patience: Patience, write_picture: WritePicture
) -> None:
    """After a pause the pictures go on at the rate; at most two come at once."""
    folder = write_picture("set/0.png").parent
    for number in range(1, 6):
        write_picture(f"set/{number}.png")
    camera = ReplayCamera(folder, 10, 1, environment)
    camera.read(patience)
    clock.at += 60
    resumed = clock.at
    for _ in range(4):
        camera.read(patience)
    assert clock.at - resumed >= 0.1 - 1e-6


def test_max_rate_never_waits(
    environment: Clock, patience: Patience, write_picture: WritePicture
) -> None:
    """`rate: max` never sleeps."""
    play(write_picture("set/a.png").parent, environment, patience)
    assert set(patience.waits) <= {0.0}


def test_bad_picture_is_a_fault_and_the_rest_goes_on(
    tmp_path: Path, environment: Clock, patience: Patience, write_picture: WritePicture
) -> None:
    """A damaged picture is a fault with its name."""
    for name in ("a.png", "c.png"):
        write_picture(f"set/{name}")
    (tmp_path / "set/b.jpg").write_bytes(b"")
    camera = ReplayCamera(tmp_path / "set", "max", 1, environment)
    looks = [camera.read(patience) for _ in range(4)]
    assert looks[3] is None
    assert [look.item for look in looks if look] == ["a.png", "b.jpg", "c.png"]
    assert [look.fault is None for look in looks if look] == [True, False, True]


def test_one_picture_is_a_replay(
    environment: Clock, patience: Patience, write_picture: WritePicture
) -> None:
    """A single picture can be replayed."""
    assert play(write_picture("one.png"), environment, patience) == ["one.png"]


def test_video_is_played_frame_by_frame(
    video: Path, environment: Clock, patience: Patience
) -> None:
    """A video gives every frame once per loop, numbered from 1, with its colours in order."""
    expected = [f"line.avi#{number}" for number in range(1, 6)]
    assert play(video, environment, patience, loop=2) == expected * 2
    camera = ReplayCamera(video, "max", 1, environment)
    reds = []
    while (look := camera.read(patience)) is not None:
        assert look.pixels is not None
        reds.append(float(look.pixels[:, :, 2].mean()))
    assert reds == pytest.approx([0, 50, 100, 150, 200], abs=8)


def test_video_without_frames_is_a_lost_camera(
    tmp_path: Path, environment: Clock, patience: Patience
) -> None:
    """A file that only has the name of a video is an error: it holds no frame."""
    fake = tmp_path / "line.mp4"
    fake.write_bytes(b"no video")
    camera = ReplayCamera(fake, "max", 1, environment)
    with pytest.raises(CameraError, match=r"line\.mp4 holds no frame"):
        camera.read(patience)

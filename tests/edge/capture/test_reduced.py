"""A JPEG camera's pictures, decoded at the scale that the model needs in the camera's process."""

from collections.abc import Iterator

import numpy as np
import pytest

from edge.capture.camera import CameraRead
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.frame_ring import SLOTS
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.capture.quality import FrameChecks
from edge.core.clock import Clock, StopEvent
from tests.edge.capture.conftest import MJPEGServer, ScriptedCamera, camera_config, noise
from tests.edge.capture.reader_harness import Build

WIDTH, HEIGHT = 64, 64  # of the test server's pictures


class Wanted:
    """By what the daemon wants pictures divided; a test changes its mind."""

    def __init__(self) -> None:
        self.by = 4
        self.asked: set[tuple[int, int]] = set()

    def __call__(self, width: int, height: int) -> int:
        self.asked.add((width, height))
        return self.by


@pytest.fixture
def wanted() -> Wanted:
    """A quarter, at first."""
    return Wanted()


@pytest.fixture
def camera(
    mjpeg_server: MJPEGServer, wanted: Wanted, fork_server: ForkServerClient
) -> Iterator[IsolatedCamera]:
    """A network camera, read by a real process."""
    config = camera_config(mjpeg_server.url, timeout_s=20, open_timeout_s=30)
    camera = IsolatedCamera(config, Clock(), fork_server, reduction=wanted)
    yield camera
    camera.close()


def read(camera: IsolatedCamera) -> CameraRead:
    """One look, which must come."""
    look = camera.read(StopEvent())
    assert look is not None
    assert look.fault is None
    return look


def test_pictures_come_reduced_with_the_jpeg_that_they_came_as(
    camera: IsolatedCamera, wanted: Wanted
) -> None:
    """Each look holds a quarter of the sides, and the whole picture for whoever wants evidence."""
    for _ in range(3 * SLOTS):
        look = read(camera)
        assert look.pixels is not None
        assert look.encoded is not None
        assert look.reduced == 4
        assert look.pixels.shape == (HEIGHT // 4, WIDTH // 4, 3)
        again, by = look.encoded.decode(4)
        assert by == 4
        assert np.array_equal(again, look.pixels)
        whole = look.decoded()
        assert whole is not None
        assert whole.shape == (HEIGHT, WIDTH, 3)
    assert wanted.asked == {(WIDTH, HEIGHT)}
    assert camera.copied == 0


def test_the_daemon_may_change_its_mind(camera: IsolatedCamera, wanted: Wanted) -> None:
    """Whole pictures from the next one on, and reduced ones again."""
    assert read(camera).reduced == 4
    wanted.by = 1
    look = read(camera)
    assert look.pixels is not None
    assert (look.pixels.shape, look.reduced, look.encoded) == ((HEIGHT, WIDTH, 3), 1, None)
    wanted.by = 2
    assert read(camera).reduced == 2


def test_a_damaged_jpeg_is_a_fault_and_the_next_is_not(
    mjpeg_server: MJPEGServer, wanted: Wanted, fork_server: ForkServerClient
) -> None:
    """What cannot be decoded at reduced scale is an `error`, as at full scale."""
    mjpeg_server.damaged = 4
    config = camera_config(mjpeg_server.url, timeout_s=20, open_timeout_s=30)
    camera = IsolatedCamera(config, Clock(), fork_server, reduction=wanted)
    looks = [camera.read(StopEvent()) for _ in range(12)]
    camera.close()
    faults = [look for look in looks if look is not None and look.fault is not None]
    assert len(faults) <= 1  # the damaged one may have been passed over
    assert all(look.fault_kind == "decode" and look.pixels is None for look in faults)
    assert looks[-1] is not None
    assert looks[-1].reduced == 4


def test_size_is_that_of_the_whole_picture() -> None:
    """A reduced picture of the right camera is not of the wrong size, and one of another is."""
    checks = FrameChecks(camera_config("v4l2:/dev/video0", width=64, height=64))
    assert checks.check(noise(1, 16), 0.0, reduced=4) is None
    rejection = checks.check(noise(2, 16), 0.0, reduced=2)
    assert rejection is not None
    assert "32×32, not 64×64" in rejection.why


def test_frames_say_by_what_they_were_reduced(house: Build) -> None:
    """The reader asks whether the view fits the whole picture, and passes pixels and divisor on."""
    asked: list[tuple[int, int]] = []

    def size_error(width: int, height: int) -> None:
        asked.append((width, height))

    pixels = noise(1, 16)
    frame = house("test:", size_error=size_error).run(
        ScriptedCamera([CameraRead(pixels, reduced=4)])
    )[0]
    assert asked == [(64, 64)]
    assert frame.reduced == 4
    assert frame.pixels is pixels

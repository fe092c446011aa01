"""JPEGs that the camera process decodes at the scale that the model needs."""

from collections.abc import Iterator

import numpy as np
import pytest

from edge.capture.camera import CameraRead
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.frame_ring import SLOTS
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.capture.quality import FrameChecks, sharpness
from edge.core.clock import Clock, StopEvent
from edge.core.image import examine_picture
from edge.core.jpeg import JPEGDecoding
from edge_bench.camera_server import CameraServer
from tests.edge.capture.conftest import MJPEGServer, ScriptedCamera, camera_config, noise
from tests.edge.capture.reader_harness import MakeHarness
from tests.support.jpegs import EOI, encode_jpeg, segment

WIDTH, HEIGHT = 64, 64  # of the test server's pictures


class RequestedDecoding:
    """The decoding that the daemon requests; a test changes it."""

    def __init__(self) -> None:
        self.by, self.luma = 4, False
        self.asked: set[tuple[int, int]] = set()

    def __call__(self, width: int, height: int) -> JPEGDecoding:
        self.asked.add((width, height))
        return JPEGDecoding(self.by, self.luma)


@pytest.fixture
def wanted() -> RequestedDecoding:
    """The divisor 4 at first."""
    return RequestedDecoding()


@pytest.fixture
def camera(
    mjpeg_server: MJPEGServer, wanted: RequestedDecoding, fork_server: ForkServerClient
) -> Iterator[IsolatedCamera]:
    """A network camera, read by a real process."""
    config = camera_config(mjpeg_server.url, timeout_s=20, open_timeout_s=30)
    camera = IsolatedCamera(config, Clock(), fork_server, decoding_of=wanted)
    yield camera
    camera.close()


def read(camera: IsolatedCamera) -> CameraRead:
    """One read, which must return."""
    look = camera.read(StopEvent())
    assert look is not None
    assert look.fault is None
    return look


@pytest.mark.slow
def test_reduced_pictures_come_with_their_jpeg(
    camera: IsolatedCamera, wanted: RequestedDecoding
) -> None:
    """Each read holds a quarter of the sides, and the JPEG of the whole picture as evidence."""
    for _ in range(3 * SLOTS):
        look = read(camera)
        assert look.pixels is not None
        assert look.encoded is not None
        assert look.reduced == 4
        assert look.pixels.shape == (HEIGHT // 4, WIDTH // 4, 3)
        again, by = look.encoded.decode(JPEGDecoding(4))
        assert by == 4
        assert np.array_equal(again, look.pixels)
        whole = look.decoded()
        assert whole is not None
        assert whole.shape == (HEIGHT, WIDTH, 3)
    assert wanted.asked == {(WIDTH, HEIGHT)}
    assert camera.copied == 0


def test_the_reduction_may_change(camera: IsolatedCamera, wanted: RequestedDecoding) -> None:
    """From the next request on pictures are whole, with their JPEG too, and later reduced again."""
    assert read(camera).reduced == 4
    wanted.by = 1
    look = read(camera)
    assert look.pixels is not None
    assert (look.pixels.shape, look.reduced) == ((HEIGHT, WIDTH, 3), 1)
    assert look.encoded is not None
    assert np.array_equal(look.encoded.decode()[0], look.pixels)
    assert look.decoded() is look.pixels  # not decoded a second time
    wanted.by = 2
    assert read(camera).reduced == 2


def test_a_jpeg_larger_than_its_pixels_costs_no_frame(
    mjpeg_server: MJPEGServer, wanted: RequestedDecoding, fork_server: ForkServerClient
) -> None:
    """It does not fit beside the whole frame, whose pixels then are the evidence."""
    mjpeg_server.segments = [segment(0xFE, bytes(20_000))]
    wanted.by = 1
    config = camera_config(mjpeg_server.url, timeout_s=20, open_timeout_s=30)
    camera = IsolatedCamera(config, Clock(), fork_server, decoding_of=wanted)
    look = read(camera)
    camera.close()
    assert look.pixels is not None
    assert (look.pixels.shape, look.encoded) == ((HEIGHT, WIDTH, 3), None)


@pytest.mark.slow
def test_luma_alone(camera: IsolatedCamera, wanted: RequestedDecoding) -> None:
    """One channel, whole and reduced, with the JPEG in colour as evidence."""
    wanted.luma = True
    for wanted.by in (1, 2):
        look = read(camera)
        assert look.pixels is not None
        assert look.encoded is not None
        assert look.pixels.shape == (HEIGHT // wanted.by, WIDTH // wanted.by, 1)
        whole = look.decoded()
        assert whole is not None
        assert whole.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.slow
def test_a_damaged_jpeg_is_a_fault_and_the_next_is_not(
    mjpeg_server: MJPEGServer, wanted: RequestedDecoding, fork_server: ForkServerClient
) -> None:
    """A JPEG that cannot be decoded at reduced scale is a fault, as at full scale."""
    mjpeg_server.damaged = 4
    config = camera_config(mjpeg_server.url, timeout_s=20, open_timeout_s=30)
    camera = IsolatedCamera(config, Clock(), fork_server, decoding_of=wanted)
    looks = [camera.read(StopEvent()) for _ in range(12)]
    camera.close()
    faults = [look for look in looks if look is not None and look.fault is not None]
    assert len(faults) <= 1  # the damaged one may have been passed over
    assert all(look.fault_kind == "decode" and look.pixels is None for look in faults)
    assert looks[-1] is not None
    assert looks[-1].reduced == 4


def test_size_is_that_of_the_whole_picture() -> None:
    """The size check multiplies by the divisor."""
    checks = FrameChecks(camera_config("v4l2:/dev/video0", width=64, height=64))
    assert checks.check(CameraRead(noise(1, 16), reduced=4), 0.0) is None
    rejection = checks.check(CameraRead(noise(2, 16), reduced=2), 0.0)
    assert rejection is not None
    assert "32×32, not 64×64" in rejection.why


def test_sharpness_is_measured_on_the_whole_jpeg() -> None:
    """`min_focus` was chosen on whole pictures, whatever the model needs."""
    data = encode_jpeg(noise(1, side=64))
    picture = examine_picture(data, "a.jpg")
    limit = sharpness(picture.decode()[0]) - 1
    checks = FrameChecks(camera_config("v4l2:/dev/video0", trust={"min_focus": limit}))
    pixels, reduced = picture.decode(JPEGDecoding(4))
    assert sharpness(pixels) < limit
    assert checks.check(CameraRead(pixels, reduced=reduced, encoded=picture), 0.0) is None
    rejection = checks.check(CameraRead(picture.decode(JPEGDecoding(8))[0]), 0.0)
    assert rejection is not None
    assert rejection.kind in ("blurred", "wrong_size")


def test_frames_say_by_what_they_were_reduced(make_harness: MakeHarness) -> None:
    """The reader checks the size of the whole picture; the frame holds pixels and divisor."""
    asked: list[tuple[int, int]] = []

    def size_error(width: int, height: int) -> None:
        asked.append((width, height))

    pixels = noise(1, 16)
    frame = make_harness("test:", size_error=size_error).run(
        ScriptedCamera([CameraRead(pixels, reduced=4)])
    )[0]
    assert asked == [(64, 64)]
    assert frame.reduced == 4
    assert frame.pixels is pixels


@pytest.mark.parametrize("by", [1, 4])
def test_a_camera_whose_jpegs_are_all_damaged_is_open_and_says_so(
    fork_server: ForkServerClient, by: int
) -> None:
    """Each verdict gets the reason, whole and reduced; an unopened camera would only time out."""
    whole = encode_jpeg(noise(1, side=64))
    damaged = whole[: len(whole) // 2] + EOI
    server = CameraServer([damaged], 50.0)
    config = camera_config(server.source, timeout_s=20, open_timeout_s=30)
    camera = IsolatedCamera(config, Clock(), fork_server, decoding_of=lambda *_: JPEGDecoding(by))
    try:
        for _ in range(3):
            look = camera.read(StopEvent())
            assert look is not None
            assert look.pixels is None
            assert look.fault_kind == "decode"
            assert "premature end of data segment" in str(look.fault)
    finally:
        camera.close()
        server.close()

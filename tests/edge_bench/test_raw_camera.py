"""The simulated raw camera behind the daemon's V4L2 driver."""

from pathlib import Path

import numpy as np
import pytest

from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge_bench.images import draw_part, yuyv
from edge_bench.lower_bound import decode_yuyv
from edge_bench.raw_camera import open_raw

WIDTH, HEIGHT = 64, 48


@pytest.fixture
def device(tmp_path: Path) -> CameraConfig:
    """A camera whose device is a file of two pictures."""
    path = tmp_path / "raw.yuyv"
    path.write_bytes(b"".join(yuyv(draw_part(n, WIDTH, HEIGHT)) for n in range(2)))
    return CameraConfig(
        id="raw",
        source=f"v4l2:{path}",
        width=WIDTH,
        height=HEIGHT,
        fps=200,
        pixel_format="YUYV",
        open_timeout_s=60,
        timeout_s=60,
    )


def test_the_v4l2_driver_reads_it(device: CameraConfig) -> None:
    """Pictures come in turn, converted as in OpenCV, into the target, with a time."""
    camera = open_raw(device)
    target = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    expected = [decode_yuyv(yuyv(draw_part(n, WIDTH, HEIGHT)), WIDTH, HEIGHT) for n in range(2)]
    for number in (0, 1, 0):
        assert camera.grab(StopEvent())
        frame = camera.retrieve(target)
        assert frame.pixels is target
        assert frame.captured_tick is not None
        assert np.array_equal(target, expected[number])
    camera.close()


@pytest.mark.slow
def test_the_camera_process_reads_it(device: CameraConfig) -> None:
    """The isolated camera process delivers its pictures through shared memory."""
    with ForkServerClient() as fork_server:
        camera = IsolatedCamera(device, Clock(), fork_server, "edge_bench.raw_camera")
        try:
            frame = camera.read(StopEvent())
            assert frame is not None
            assert frame.pixels is not None
            assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
        finally:
            camera.close()

"""The raw camera that stands in for the kernel's driver, behind the daemon's own V4L2 source."""

from pathlib import Path

import numpy as np
import pytest

from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge_bench.images import drawn, yuyv
from edge_bench.lower_bound import decode_yuyv
from edge_bench.raw_camera import open_raw

WIDTH, HEIGHT = 64, 48


@pytest.fixture
def device(tmp_path: Path) -> CameraConfig:
    """A camera whose device is a file of two pictures."""
    path = tmp_path / "raw.yuyv"
    path.write_bytes(b"".join(yuyv(drawn(n, WIDTH, HEIGHT)) for n in range(2)))
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


def test_the_v4l2_source_reads_it(device: CameraConfig) -> None:
    """Pictures in turn, converted as OpenCV does, into the memory that is handed in, stamped."""
    camera = open_raw(device)
    target = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    expected = [decode_yuyv(yuyv(drawn(n, WIDTH, HEIGHT)), WIDTH, HEIGHT) for n in range(2)]
    for number in (0, 1, 0):
        assert camera.grab(StopEvent())
        look = camera.retrieve(target)
        assert look.pixels is target
        assert look.captured_tick is not None
        assert np.array_equal(target, expected[number])
    camera.close()


def test_the_cameras_process_reads_it(device: CameraConfig, fork_server: ForkServerClient) -> None:
    """As the daemon starts it, in a process of its own, through shared memory."""
    camera = IsolatedCamera(device, Clock(), fork_server, "edge_bench.raw_camera")
    try:
        look = camera.read(StopEvent())
        assert look is not None
        assert look.pixels is not None
        assert look.pixels.shape == (HEIGHT, WIDTH, 3)
    finally:
        camera.close()

"""The network camera of the bench, read by the daemon's MJPEG driver."""

import itertools

import cv2
import numpy as np

from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.config import CameraConfig
from edge.core.clock import StopEvent
from edge_bench.camera_server import CameraServer


def jpeg(grey: int) -> bytes:
    """A small picture with one grey level."""
    _, data = cv2.imencode(".jpg", np.full((16, 24, 3), grey, np.uint8))
    return bytes(data)


def test_pictures_come_in_turn_and_are_recorded() -> None:
    """The driver reads the pictures repeatedly; each sent picture has both times."""
    server = CameraServer([jpeg(50), jpeg(200)], rate=200)
    try:
        camera = MJPEGCamera(CameraConfig(id="one", source=server.source))
        brightness = []
        for _ in range(4):
            frame = camera.read(StopEvent())
            assert frame is not None
            assert frame.pixels is not None
            brightness.append(int(frame.pixels.mean()) > 128)
        camera.close()
    finally:
        server.close()
    assert brightness == [False, True, False, True]
    sent = server.sent
    assert len(sent) >= 3  # the last picture may be recorded after the last read
    assert all(
        a.monotonic_s <= b.monotonic_s and a.epoch_s <= b.epoch_s
        for a, b in itertools.pairwise(sent)
    )

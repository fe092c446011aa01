"""The bench's network camera, read by the daemon's own source."""

import itertools

import cv2
import numpy as np

from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.config import CameraConfig
from edge.core.clock import StopEvent
from edge_bench.camera_server import CameraServer


def jpeg(grey: int) -> bytes:
    """A small picture of one grey."""
    _, data = cv2.imencode(".jpg", np.full((16, 24, 3), grey, np.uint8))
    return bytes(data)


def test_pictures_come_in_turn_and_are_noted() -> None:
    """`http:` reads the pictures over and over, and each one sent has both its clocks."""
    server = CameraServer([jpeg(50), jpeg(200)], rate=200)
    try:
        camera = MJPEGCamera(CameraConfig(id="one", source=server.source))
        seen = []
        for _ in range(4):
            look = camera.read(StopEvent())
            assert look is not None
            assert look.pixels is not None
            seen.append(int(look.pixels.mean()) > 128)
        camera.close()
    finally:
        server.close()
    assert seen == [False, True, False, True]
    sent = server.sent
    assert len(sent) >= 3  # the last one's note may come after the last look
    assert all(a.tick <= b.tick and a.now <= b.now for a, b in itertools.pairwise(sent))

"""OpenCV's cameras, whose read() may lie."""

import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.capture.opencv import OpenCVCamera
from edge.environment import Stop
from edge.errors import CameraError
from tests.edge.capture.conftest import FakeCapture, MJPEGServer, camera_config, noise


@pytest.mark.parametrize(
    "answer",
    [(False, None), (True, None), (True, np.zeros((0, 0, 3), np.uint8)), (False, noise(1))],
)
def test_answer_without_a_picture_is_a_lost_camera(answer: tuple[bool, Any]) -> None:
    """True without a picture, an empty picture and False are all a lost camera."""
    camera = OpenCVCamera(camera_config("rtsp://u:s3cret@cam/1"), FakeCapture([answer]))
    with pytest.raises(CameraError, match=r"rtsp://\*\*\*@cam/1: delivers no picture; check"):
        camera.read(Stop())


def test_camera_that_does_not_open_is_released() -> None:
    """A device that cannot be opened is given back at once."""
    capture = FakeCapture([], opened=False)
    with pytest.raises(CameraError, match="cannot be opened; check the cable"):
        OpenCVCamera(camera_config("rtsp://cam/1"), capture)
    assert capture.released == 1


def test_network_reads_have_time_outs() -> None:
    """Opening and reading a network camera give up after timeout_s."""
    capture = FakeCapture([])
    OpenCVCamera(camera_config("rtsp://cam/1", timeout_s=1.5), capture)
    source, backend, limits = capture.arguments
    assert (source, backend) == ("rtsp://cam/1", cv2.CAP_FFMPEG)
    said = dict(zip(limits[::2], limits[1::2]))
    assert said[cv2.CAP_PROP_OPEN_TIMEOUT_MSEC] == 1500
    assert said[cv2.CAP_PROP_READ_TIMEOUT_MSEC] == 1500


def test_usb_camera_gets_its_settings(tmp_path: Path) -> None:
    """Width, height and rate are set on a USB camera, and its buffer holds one frame."""
    device = tmp_path / "video0"
    device.touch()
    capture = FakeCapture([(True, noise(1))])
    config = camera_config(f"v4l2:{device}", width=1280, height=720, fps=15)
    camera = OpenCVCamera(config, capture)
    assert capture.arguments == (str(device), cv2.CAP_V4L2)
    assert capture.settings == {
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 15,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }
    camera.close()
    assert capture.released == 1


def test_device_without_permission_names_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that we may not open says which group to join."""
    device = tmp_path / "video0"
    device.touch()
    device.chmod(stat.S_IRUSR)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may open everything
    with pytest.raises(CameraError, match="no permission; add the user to the group `video`"):
        OpenCVCamera(camera_config(f"v4l2:{device}"), FakeCapture([]))


def test_network_camera_that_goes_is_lost(mjpeg_server: MJPEGServer) -> None:
    """When a network camera's cable is pulled in mid-stream, the read ends as a CameraError."""
    camera = OpenCVCamera(camera_config(mjpeg_server.url, timeout_s=2))
    assert camera.read(Stop()) is not None
    mjpeg_server.gone.set()

    def read_on() -> None:
        for _ in range(200):
            camera.read(Stop())

    with pytest.raises(CameraError):
        read_on()
    camera.close()

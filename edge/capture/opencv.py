"""`v4l2:`, `rtsp:` and `http:` through OpenCV.

Its `read()` may answer True without a picture and may block for long: both are treated as a lost
camera, the second by the time-outs that FFmpeg takes.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.capture.camera import Look
from edge.config import CameraConfig, mask_credentials
from edge.environment import Stop
from edge.errors import CameraError


class OpenCVCamera:
    """A live camera that OpenCV can open. `opener` exists so that tests can hand in a bad one."""

    live = True

    def __init__(self, config: CameraConfig, opener: Callable[..., Any] = cv2.VideoCapture) -> None:
        """Raises CameraError, naming the source without its password."""
        self._name = mask_credentials(config.source)
        if config.kind == "v4l2":
            self._capture = self._open_v4l2(config, opener)
        else:
            milliseconds = int(config.timeout_s * 1000)
            # UDP drops packets silently, and a grey smear is no picture of a part.
            os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
            limits = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                milliseconds,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                milliseconds,
            ]
            self._capture = opener(config.source, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(
                f"{self._name}: cannot be opened; check the cable, the address and the password"
            )

    def read(self, stop: Stop) -> Look | None:  # noqa: ARG002  OpenCV cannot be interrupted
        """The next frame. Raises CameraError when none comes."""
        taken, pixels = self._capture.read()
        if not taken or pixels is None or pixels.size == 0:
            raise CameraError(f"{self._name}: delivers no picture; check the cable and the power")
        return Look(np.asarray(pixels, np.uint8))

    def close(self) -> None:
        """Gives the device back."""
        self._capture.release()

    def _open_v4l2(self, config: CameraConfig, opener: Callable[..., Any]) -> Any:
        device = Path(config.rest)
        if not device.exists():
            raise CameraError(
                f"{self._name}: there is no such device; `ls /dev/v4l/by-id` lists the cameras"
            )
        if not os.access(device, os.R_OK | os.W_OK):
            raise CameraError(f"{self._name}: no permission; add the user to the group `video`")
        capture = opener(str(device), cv2.CAP_V4L2)
        for prop, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, config.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, config.height),
            (cv2.CAP_PROP_FPS, config.fps),
        ):
            if value is not None:
                capture.set(prop, value)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the frame read is then at most one old
        return capture

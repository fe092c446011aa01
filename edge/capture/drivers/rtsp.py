"""`rtsp://…` through OpenCV's FFmpeg, over TCP."""

import contextlib
import os
import time
from collections.abc import Iterator

import cv2

from edge.capture.drivers.clock_offset import ClockOffset
from edge.capture.drivers.credentials import split_source, with_credentials
from edge.capture.drivers.opencv import OpenCVCamera, Opener
from edge.config import CameraConfig, mask_credentials
from edge.core.clock import StopEvent

_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# TCP, since UDP loses packets silently and shows a grey smear. FFmpeg drops damaged pictures and
# buffers none.
_FFMPEG = "rtsp_transport;tcp|fflags;nobuffer+discardcorrupt|flags;low_delay|err_detect;explode"


@contextlib.contextmanager
def _ffmpeg_options() -> Iterator[None]:
    """Sets FFmpeg's options, which OpenCV reads from the environment when it opens a stream.

    Options of the user stay.
    """
    if _VARIABLE in os.environ:
        yield
        return
    os.environ[_VARIABLE] = _FFMPEG
    try:
        yield
    finally:
        del os.environ[_VARIABLE]


class RTSPCamera(OpenCVCamera):
    """A network camera. Tests pass an `opener` of bad devices."""

    def __init__(self, config: CameraConfig, opener: Opener = cv2.VideoCapture) -> None:
        """Raises CameraError, naming the source without its password."""
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(config.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(config.timeout_s * 1000)),
        ]
        address = with_credentials(*split_source(config))
        with _ffmpeg_options():
            capture = opener(address, cv2.CAP_FFMPEG, limits)
        super().__init__(
            mask_credentials(config.source),
            capture,
            "check the cable, the address and the password",
        )
        self._offset = ClockOffset()
        self._tick: float | None = None

    def grab(self, stop: StopEvent) -> bool:
        super().grab(stop)
        stamp_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        known = stamp_s > 0
        self._tick = self._offset.capture_tick(stamp_s, time.monotonic()) if known else None
        return True

    def _capture_tick(self) -> float | None:
        return self._tick

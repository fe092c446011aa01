"""`rtsp://…` through OpenCV's FFmpeg, over TCP or UDP."""

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
_ANALYSIS_SHARE = 0.8  # of open_timeout_s: FFmpeg looks for a stream's size, then gives up


def ffmpeg_options(config: CameraConfig) -> str:
    """FFmpeg's options as OpenCV reads them. Damaged pictures are dropped, none is buffered, and
    sound and metadata are not waited for."""
    analysis_us = int(config.open_timeout_s * _ANALYSIS_SHARE * 1e6)
    options = {
        "rtsp_transport": config.transport,
        "allowed_media_types": "video",
        "analyzeduration": analysis_us,
        "fflags": "nobuffer+discardcorrupt",
        "flags": "low_delay",
        "err_detect": "explode",
    }
    return "|".join(f"{name};{value}" for name, value in options.items())


@contextlib.contextmanager
def _in_environment(options: str) -> Iterator[None]:
    """Sets FFmpeg's options, which OpenCV reads from the environment when it opens a stream.

    Options of the user stay.
    """
    if _VARIABLE in os.environ:
        yield
        return
    os.environ[_VARIABLE] = options
    try:
        yield
    finally:
        del os.environ[_VARIABLE]


class RTSPCamera(OpenCVCamera):
    """A network camera. Tests pass an `opener` of bad devices."""

    def __init__(self, config: CameraConfig, opener: Opener = cv2.VideoCapture) -> None:
        """Raises CameraError, naming the source without its password."""
        # The first picture may be a whole GOP away. Later the daemon watches `timeout_s`.
        first_s = max(config.open_timeout_s, config.timeout_s)
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(config.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(first_s * 1000)),
        ]
        address = with_credentials(*split_source(config))
        with _in_environment(ffmpeg_options(config)):
            capture = opener(address, cv2.CAP_FFMPEG, limits)
        super().__init__(
            mask_credentials(config.source),
            capture,
            "check the cable, the address, the password and transport (tcp or udp); a stream with "
            "rare key frames needs a longer open_timeout_s",
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

"""`rtsp://…` through OpenCV's FFmpeg, over TCP."""

import contextlib
import os
import time
from collections.abc import Iterator

import cv2

from edge.capture.camera import CameraRead, DrivenCamera, Pixels
from edge.capture.drivers.clock_offset import ClockOffset
from edge.capture.drivers.credentials import split_source, with_credentials
from edge.capture.drivers.opencv import Opener, grab, retrieve
from edge.config import CameraConfig, mask_credentials
from edge.core.clock import StopEvent
from edge.core.errors import CameraError

_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# TCP, since UDP loses packets silently and shows a grey smear. FFmpeg drops damaged pictures, and
# buffers none.
_FFMPEG = "rtsp_transport;tcp|fflags;nobuffer+discardcorrupt|flags;low_delay|err_detect;explode"


@contextlib.contextmanager
def _ffmpeg_options() -> Iterator[None]:
    """OpenCV takes FFmpeg's options only from the environment, when it opens a stream. Options that
    the user has set stay."""
    if _VARIABLE in os.environ:
        yield
        return
    os.environ[_VARIABLE] = _FFMPEG
    try:
        yield
    finally:
        del os.environ[_VARIABLE]


class RTSPCamera(DrivenCamera):
    """A network camera. `opener` exists so that tests can hand in a bad one."""

    def __init__(self, config: CameraConfig, opener: Opener = cv2.VideoCapture) -> None:
        """Raises CameraError, naming the source without its password."""
        self._name = mask_credentials(config.source)
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(config.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(config.timeout_s * 1000)),
        ]
        address = with_credentials(*split_source(config))
        with _ffmpeg_options():
            self._capture = opener(address, cv2.CAP_FFMPEG, limits)
        self._stamps = ClockOffset()
        self._taken: float | None = None
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(
                f"{self._name}: cannot be opened; check the cable, the address and the password"
            )

    def grab(self, stop: StopEvent) -> bool:  # noqa: ARG002  OpenCV cannot be interrupted
        """The next frame. Raises CameraError when none comes."""
        grab(self._capture, self._name)
        stamp = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        self._taken = self._stamps.taken(stamp, time.monotonic()) if stamp > 0 else None
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:
        """The picture of that frame, or a fault."""
        pixels = retrieve(self._capture, target)
        if pixels is None:
            return CameraRead(None, fault=f"{self._name}: a picture could not be decoded")
        return CameraRead(pixels, captured_tick=self._taken)

    def close(self) -> None:
        """Closes the connection."""
        self._capture.release()

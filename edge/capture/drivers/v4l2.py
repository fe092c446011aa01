"""`v4l2:/dev/video0`: cameras of the Linux kernel, through OpenCV. An MJPEG camera's pictures are
taken as the camera sends them."""

import os
import time
from pathlib import Path

import cv2
import numpy as np

from edge.capture.camera import CameraRead, DrivenCamera, Pixels, decode_read
from edge.capture.drivers.opencv import Opener, grab, retrieve
from edge.capture.drivers.v4l2_buffers import BufferFlags, opened
from edge.capture.drivers.v4l2_controls import set_controls
from edge.config import CameraConfig
from edge.core.clock import StopEvent
from edge.core.errors import CameraError, PictureError
from edge.core.image import examine_picture

_MJPEG = ("MJPG", "JPEG")


class V4L2Camera(DrivenCamera):
    """A camera with a device file. A name below /dev/v4l/by-id stays the same when the camera is
    plugged in again. Tests pass an `opener` of bad devices."""

    def __init__(self, config: CameraConfig, opener: Opener = cv2.VideoCapture) -> None:
        """Sets the camera as configured. Raises CameraError, naming what it does not take."""
        self._name = config.source
        device = Path(config.rest)
        if not device.exists():
            raise CameraError(
                f"{self._name}: there is no such device; `ls /dev/v4l/by-id` lists the cameras"
            )
        if not os.access(device, os.R_OK | os.W_OK):
            raise CameraError(f"{self._name}: no permission; add the user to the group `video`")
        before = opened(device)
        self._capture = opener(str(device), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(
                f"{self._name}: cannot be opened; another program may hold it, or it is no camera"
            )
        try:
            self._set(config)
            set_controls(device, config.controls)
        except CameraError:
            self._capture.release()
            raise
        self.gives_jpeg = self._fourcc() in _MJPEG
        if self.gives_jpeg:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        held = opened(device) - before  # empty when the opener opens no device
        self._marks = BufferFlags(held.pop()) if held else None
        self._running = self._damaged = False

    def grab(self, stop: StopEvent) -> bool:  # noqa: ARG002  OpenCV cannot be interrupted
        """The next frame. Raises CameraError when none comes."""
        # OpenCV starts the camera with its first grab; before it there are no buffers to ask for.
        self._damaged = self._running and self._marks is not None and self._marks.next_is_damaged()
        grab(self._capture, self._name)
        self._running = True
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:
        """The picture of that frame, or a fault. OpenCV also returns damaged pictures."""
        if self.gives_jpeg:
            return decode_read(self.retrieve_encoded())
        if self._damaged:
            return self._damage()
        pixels = retrieve(self._capture, target)
        if pixels is None:
            return CameraRead(None, fault=f"{self._name}: a picture could not be decoded")
        return CameraRead(pixels, captured_tick=self._stamp())

    def close(self) -> None:
        """Releases the device."""
        self._capture.release()

    def retrieve_encoded(self) -> CameraRead:
        """The JPEG of that frame, as the camera sent it."""
        if self._damaged:
            return self._damage()
        taken, data = self._capture.retrieve()
        if not taken or data is None or data.size == 0:
            return CameraRead(None, fault=f"{self._name}: the camera sent an empty picture")
        try:
            picture = examine_picture(np.asarray(data, np.uint8).tobytes(), self._name)
        except PictureError as error:
            return CameraRead(None, fault=str(error))
        return CameraRead(None, encoded=picture, captured_tick=self._stamp())

    def _damage(self) -> CameraRead:
        return CameraRead(
            None, fault=f"{self._name}: the driver marks a picture as damaged; check cable and hub"
        )

    def _stamp(self) -> float | None:
        """The driver's time stamp if it is of the monotonic clock, as that of most drivers."""
        stamp = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        now = time.monotonic()
        return stamp if 0.0 < now - stamp < 3600.0 else None

    def _set(self, config: CameraConfig) -> None:
        if config.pixel_format is not None:
            wanted = config.pixel_format.upper().ljust(4)
            if len(wanted) == 4:
                self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted))
            if self._fourcc() != wanted.strip():
                raise CameraError(
                    f"{self._name}: does not give pixel_format {config.pixel_format} (gives "
                    f"{self._fourcc()}); `v4l2-ctl --list-formats-ext` lists what it can"
                )
        for prop, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, config.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, config.height),
            (cv2.CAP_PROP_FPS, config.fps),
        ):
            if value is not None:
                self._capture.set(prop, value)
        # OpenCV holds one buffer, and the flags of the other are read before its picture. With
        # more buffers pictures would be old.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)

    def _fourcc(self) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        return code.to_bytes(4, "little", signed=code < 0).decode("latin-1").strip()

"""`v4l2:/dev/video0`: cameras of the Linux kernel, through OpenCV. JPEGs are not decoded here."""

import os
import time
from pathlib import Path

import cv2
import numpy as np

from edge.capture.camera import CameraRead, Pixels, decode_read
from edge.capture.drivers.opencv import OpenCVCamera, Opener
from edge.capture.drivers.v4l2_buffers import BufferFlags, open_fds
from edge.capture.drivers.v4l2_controls import set_controls
from edge.config import CameraConfig
from edge.core.clock import StopEvent
from edge.core.errors import CameraError, PictureError
from edge.core.image import examine_picture

_MJPEG = ("MJPG", "JPEG")


class V4L2Camera(OpenCVCamera):
    """A camera with a device file. Tests pass an `opener` of bad devices."""

    def __init__(self, config: CameraConfig, opener: Opener = cv2.VideoCapture) -> None:
        """Opens and configures the camera. Raises CameraError that names a refused setting."""
        device = Path(config.rest)
        if not device.exists():
            raise CameraError(
                f"{config.source}: there is no such device; `ls /dev/v4l/by-id` lists the cameras"
            )
        if not os.access(device, os.R_OK | os.W_OK):
            raise CameraError(f"{config.source}: no permission; add the user to the group `video`")
        before = open_fds(device)
        super().__init__(
            config.source,
            opener(str(device), cv2.CAP_V4L2),
            "another program may hold it, or it is no camera",
        )
        try:
            self._configure(config)
            set_controls(device, config.controls)
        except CameraError:
            self._capture.release()
            raise
        self.gives_jpeg = self._fourcc() in _MJPEG
        if self.gives_jpeg:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        new_fds = open_fds(device) - before  # empty with an opener of tests
        self._flags = BufferFlags(new_fds.pop()) if new_fds else None
        self._running = self._damaged = False

    def grab(self, stop: StopEvent) -> bool:
        # OpenCV starts the camera with its first grab; before it there are no buffers.
        self._damaged = self._running and self._flags is not None and self._flags.next_is_damaged()
        self._running = super().grab(stop)
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:
        """The frame, or a fault. OpenCV also returns damaged frames."""
        if self.gives_jpeg:
            return decode_read(self.retrieve_encoded())
        return self._damaged_frame() if self._damaged else super().retrieve(target)

    def retrieve_encoded(self) -> CameraRead:
        if self._damaged:
            return self._damaged_frame()
        taken, data = self._capture.retrieve()
        if not taken or data is None or data.size == 0:
            return CameraRead(None, fault=f"{self._name}: the camera sent an empty picture")
        try:
            picture = examine_picture(np.asarray(data, np.uint8).tobytes(), self._name)
        except PictureError as error:
            return CameraRead(None, fault=str(error))
        return CameraRead(None, encoded=picture, captured_tick=self._capture_tick())

    def _damaged_frame(self) -> CameraRead:
        return CameraRead(
            None, fault=f"{self._name}: the driver marks a picture as damaged; check cable and hub"
        )

    def _capture_tick(self) -> float | None:
        """The driver's time stamp if it is of the monotonic clock, as with most drivers."""
        stamp = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        now = time.monotonic()
        return stamp if 0.0 < now - stamp < 3600.0 else None

    def _configure(self, config: CameraConfig) -> None:
        if config.pixel_format is not None:
            code = config.pixel_format.upper().ljust(4)
            if len(code) == 4:
                self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
            if self._fourcc() != code.strip():
                raise CameraError(
                    f"{self._name}: does not give pixel_format {config.pixel_format} (gives "
                    f"{self._fourcc()}); `v4l2-ctl --list-formats-ext` lists its formats"
                )
        for prop, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, config.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, config.height),
            (cv2.CAP_PROP_FPS, config.fps),
        ):
            if value is not None:
                self._capture.set(prop, value)
        # OpenCV holds one buffer; the flags of the other are read before its picture. With more
        # buffers the pictures would be old.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)

    def _fourcc(self) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        return code.to_bytes(4, "little", signed=code < 0).decode("latin-1").strip()

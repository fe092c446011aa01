"""A simulated V4L2 camera with raw YUYV pictures; runs in the camera process.

Only the kernel driver is simulated: edge's V4L2Camera reads it, and the pictures take the usual
path.
"""

import mmap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.capture import DrivenCamera
from edge.capture.drivers.v4l2 import V4L2Camera
from edge.config import CameraConfig

Pixels = NDArray[np.uint8]


class RawCapture:
    """A fake `cv2.VideoCapture`: repeats raw pictures of a file at a steady rate.

    It converts and copies as often as OpenCV does.
    """

    def __init__(self, path: str, _api: int) -> None:
        with Path(path).open("rb") as file:
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._properties: dict[int, float] = {
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"YUYV"))
        }
        self._frames: NDArray[np.uint8] | None = None
        self._number = -1
        self._due = time.monotonic()
        self._frame: Pixels | None = None

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        """Always True."""
        return True

    def set(self, prop: int, value: float) -> bool:
        """Stores the property."""
        if prop != cv2.CAP_PROP_FOURCC:
            self._properties[prop] = value
        return True

    def get(self, prop: int) -> float:
        """The stored property, or 0, as in OpenCV."""
        return self._properties.get(prop, 0.0)

    def grab(self) -> bool:
        """Waits for the next picture."""
        now = time.monotonic()
        if self._due > now:
            time.sleep(self._due - now)
        self._due = max(self._due, now) + 1 / self._properties[cv2.CAP_PROP_FPS]
        self._properties[cv2.CAP_PROP_POS_MSEC] = time.monotonic() * 1000  # as a driver does
        return True

    def retrieve(self, target: Pixels | None = None) -> tuple[bool, Pixels]:
        """BGR, uint8, (height, width, 3), in `target` if it is given."""
        if self._frames is None:
            width = int(self._properties[cv2.CAP_PROP_FRAME_WIDTH])
            height = int(self._properties[cv2.CAP_PROP_FRAME_HEIGHT])
            self._frames = np.frombuffer(self._file, np.uint8).reshape(-1, height, width, 2)
        self._number += 1  # counts retrieved pictures, so that two consecutive ones differ
        raw = self._frames[self._number % len(self._frames)]
        # first into an internal buffer, then into the caller's, as cap_v4l.cpp does
        self._frame = np.asarray(cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_YUYV, self._frame), np.uint8)
        if target is None:
            return True, self._frame.copy()
        np.copyto(target, self._frame)
        return True, target

    def release(self) -> None:
        """Does nothing: the memory is freed with the process."""


def open_raw(config: CameraConfig) -> DrivenCamera:
    """The camera whose device is a file of raw pictures. Raises CameraError."""
    opener: Any = RawCapture
    return V4L2Camera(config, opener)


def driver_of(_kind: str) -> Callable[[CameraConfig], DrivenCamera]:
    """The function that opens a camera, as in `edge.capture.drivers.registry`."""
    return open_raw

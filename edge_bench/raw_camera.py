"""A V4L2 camera that sends raw YUYV, for boxes that have none; in the camera's own process.

All but the kernel's driver is real: edge's V4L2Camera reads it as it reads OpenCV, and the pictures
go the way of all cameras.
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
    """Stands in for `cv2.VideoCapture`: raw pictures from a file, over and over, at a steady rate;
    converted as OpenCV converts what a driver hands out, and copied as often."""

    def __init__(self, path: str, _api: int) -> None:
        with Path(path).open("rb") as file:
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._said: dict[int, float] = {cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"YUYV"))}
        self._frames: NDArray[np.uint8] | None = None
        self._number = -1
        self._due = time.monotonic()
        self._frame: Pixels | None = None

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        """It always is."""
        return True

    def set(self, prop: int, value: float) -> bool:
        """Remembers what is asked for."""
        if prop != cv2.CAP_PROP_FOURCC:
            self._said[prop] = value
        return True

    def get(self, prop: int) -> float:
        """What was asked for; 0 for what it does not know, as OpenCV says."""
        return self._said.get(prop, 0.0)

    def grab(self) -> bool:
        """Waits for the next picture."""
        now = time.monotonic()
        if self._due > now:
            time.sleep(self._due - now)
        self._due = max(self._due, now) + 1 / self._said[cv2.CAP_PROP_FPS]
        self._said[cv2.CAP_PROP_POS_MSEC] = time.monotonic() * 1000  # as drivers stamp
        return True

    def retrieve(self, target: Pixels | None = None) -> tuple[bool, Pixels]:
        """BGR, uint8, (height, width, 3), into `target` where there is one."""
        if self._frames is None:
            width = int(self._said[cv2.CAP_PROP_FRAME_WIDTH])
            height = int(self._said[cv2.CAP_PROP_FRAME_HEIGHT])
            self._frames = np.frombuffer(self._file, np.uint8).reshape(-1, height, width, 2)
        self._number += 1  # of those that are looked at: no two alike follow each other
        raw = self._frames[self._number % len(self._frames)]
        # into its own memory first, then into the caller's, as cap_v4l.cpp does
        self._frame = np.asarray(cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_YUYV, self._frame), np.uint8)
        if target is None:
            return True, self._frame.copy()
        np.copyto(target, self._frame)
        return True, target

    def release(self) -> None:
        """Nothing to give back: the memory goes with the process."""


def open_raw(config: CameraConfig) -> DrivenCamera:
    """The camera whose device is a file of raw pictures. Raises CameraError."""
    opener: Any = RawCapture
    return V4L2Camera(config, opener)


def driver_of(_kind: str) -> Callable[[CameraConfig], DrivenCamera]:
    """What opens a camera of any kind here; as `edge.capture.drivers.registry` has it."""
    return open_raw

"""What the drivers on `cv2.VideoCapture` share: its interface, and the check of its pictures."""

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from cv2.typing import MatLike

from edge.capture.camera import Pixels
from edge.core.errors import CameraError


class VideoCapture(Protocol):
    """The part of `cv2.VideoCapture` that the drivers use; tests stand in for bad devices."""

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        """Whether the device delivers."""

    def grab(self) -> bool:
        """Waits for the next frame; False when none comes."""

    def retrieve(self, image: Pixels | None = ..., /) -> tuple[bool, MatLike]:
        """The grabbed frame, and whether there is one."""

    def get(self, prop: int, /) -> float:
        """The value of a property."""

    def set(self, prop: int, value: float, /) -> bool:
        """Sets a property; whether the device may have taken it."""

    def release(self) -> None:
        """Closes the device."""


Opener = Callable[..., VideoCapture]


def grab(capture: VideoCapture, name: str) -> None:
    """Waits for the next frame. Raises CameraError when none comes."""
    if not capture.grab():
        raise CameraError(f"{name}: delivers no picture; check the cable and the power")


def retrieve(capture: VideoCapture, target: Pixels | None) -> Pixels | None:
    """The grabbed frame as BGR; None when there is none, which OpenCV may report as success."""
    taken, pixels = capture.retrieve(target)
    if not taken or pixels is None or pixels.size == 0:
        return None
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    return np.asarray(pixels, np.uint8)

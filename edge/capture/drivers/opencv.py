"""The base of the drivers on `cv2.VideoCapture`."""

from abc import abstractmethod
from collections.abc import Callable

import cv2
import numpy as np

from edge.capture.camera import CameraRead, DrivenCamera, Pixels
from edge.core.clock import StopEvent
from edge.core.errors import CameraError

Opener = Callable[..., cv2.VideoCapture]


class OpenCVCamera(DrivenCamera):
    """A camera that OpenCV has opened."""

    def __init__(self, name: str, capture: cv2.VideoCapture, advice: str) -> None:
        """Raises CameraError, with the advice, when `capture` is not open."""
        self._name, self._capture = name, capture
        if not capture.isOpened():
            capture.release()
            raise CameraError(f"{name}: cannot be opened; {advice}")

    def grab(self, stop: StopEvent) -> bool:  # noqa: ARG002  OpenCV cannot be interrupted
        if not self._capture.grab():
            raise CameraError(f"{self._name}: delivers no picture; check the cable and the power")
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:
        """The frame as BGR; a fault without one, which OpenCV may report as success."""
        taken, pixels = self._capture.retrieve(target)
        if not taken or pixels is None or pixels.size == 0:
            return CameraRead(None, fault=f"{self._name}: a picture could not be decoded")
        if pixels.ndim == 2:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
        return CameraRead(np.asarray(pixels, np.uint8), captured_tick=self._capture_tick())

    def close(self) -> None:
        self._capture.release()

    @abstractmethod
    def _capture_tick(self) -> float | None:
        """When the grabbed frame was taken, monotonic seconds; None when not known."""

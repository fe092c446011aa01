"""`test:` shows a moving pattern, to try a box without a camera."""

import cv2
import numpy as np

from edge.capture.camera import CameraRead
from edge.core.clock import Clock, StopEvent

_DEFAULT_FPS = 10.0


class PatternCamera:
    """A grey ramp with a moving disc; each frame differs from the one before."""

    live = True

    def __init__(
        self, width: int | None, height: int | None, fps: float | None, clock: Clock
    ) -> None:
        self._width, self._height = width or 640, height or 480
        self._interval = 1.0 / (fps or _DEFAULT_FPS)
        self._clock = clock
        self._due = clock.tick()
        self._count = 0
        ramp = np.linspace(40, 200, self._width, dtype=np.uint8)
        self._background = np.repeat(np.tile(ramp, (self._height, 1))[:, :, None], 3, axis=2)

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Waits until the next frame is due."""
        if stop.wait(max(0.0, self._due - self._clock.tick())):
            return None
        self._due = max(self._due + self._interval, self._clock.tick())
        self._count += 1
        pixels = self._background.copy()
        radius = max(4, min(self._width, self._height) // 8)
        centre = (self._count * 7 % self._width, self._height // 2)
        cv2.circle(pixels, centre, radius, (30, 60, 220), -1)
        return CameraRead(pixels)

    def close(self) -> None:
        """There is nothing to release."""

"""Detects in a camera's pictures that a part has entered, so that no trigger has to be wired.

It compares each picture with the learned background. No threads, no clock.
"""

import numpy as np
from numpy.typing import NDArray

from edge.config import TriggerConfig

_CELLS = 64  # samples per side: enough to see a part, and cheap for every frame
_LEARN = 0.05  # weight of one picture in the background
_LEAVE = 0.5  # a part has left when less than this share of `share` still differs


class PresenceDetector:
    """For one camera. What stays in view for `relearn_s` seconds (a light, a stopped line) becomes
    the background."""

    def __init__(self, config: TriggerConfig) -> None:
        self._config = config
        self._background: NDArray[np.float32] | None = None
        self._since: float | None = None  # since when something is there; None: nothing is

    def entered(self, pixels: NDArray[np.uint8], tick: float) -> bool:
        """Whether a part has entered the area since the picture before.

        pixels: uint8, (height, width, 3), BGR. The first picture, and one of a new size, becomes
            the background.
        tick: monotonic seconds.
        """
        cells = self._cells(pixels)
        if self._background is None or self._background.shape != cells.shape:
            self._background, self._since = cells, None
            return False
        share = float(np.mean(np.abs(cells - self._background) > self._config.contrast))
        if self._since is None:
            if share >= self._config.share:
                self._since = tick
                return True
            self._background += _LEARN * (cells - self._background)
        elif share < self._config.share * _LEAVE:
            self._since = None
        elif tick - self._since > self._config.relearn_s:
            self._background, self._since = cells, None
        return False

    def _cells(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Means over a coarse grid of samples: float32, at most (64, 64), grey 0 to 255."""
        height, width = pixels.shape[:2]
        x, y, across, down = self._config.area or (0.0, 0.0, 1.0, 1.0)
        left, top = int(x * width), int(y * height)
        right = max(left + 1, round((x + across) * width))
        bottom = max(top + 1, round((y + down) * height))
        place = pixels[top:bottom, left:right]
        rows = np.linspace(0, place.shape[0] - 1, min(_CELLS, place.shape[0])).astype(int)
        columns = np.linspace(0, place.shape[1] - 1, min(_CELLS, place.shape[1])).astype(int)
        samples = place[rows[:, None], columns[None, :]].astype(np.float32)
        return np.asarray(samples.mean(axis=2), np.float32)

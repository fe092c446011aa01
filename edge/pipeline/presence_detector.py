"""Sees in a camera's picture that a part has entered, so that no trigger need be wired.

Each look is compared with the empty place, learned while nothing is there. No threads, no clock.
"""

import numpy as np
from numpy.typing import NDArray

from edge.config import TriggerConfig

_CELLS = 64  # a side: enough for a part, and cheap at every frame
_LEARN = 0.05  # how much a look changes the memory of the empty place
_LEAVE = 0.5  # a part has left when less than this share of `share` still differs


class PresenceDetector:
    """One camera's place. A new background (a light, a stopped line) is learned after relearn_s."""

    def __init__(self, config: TriggerConfig) -> None:
        self._config = config
        self._empty: NDArray[np.float32] | None = None
        self._since: float | None = None  # since when something is there; None: nothing is

    def entered(self, pixels: NDArray[np.uint8], tick: float) -> bool:
        """Whether a part has come into the area since the look before.

        `pixels` is uint8, (height, width, 3), BGR; `tick` monotonic seconds. The first look, and
        one of another size than before, is taken for the empty place.
        """
        cells = self._cells(pixels)
        if self._empty is None or self._empty.shape != cells.shape:
            self._empty, self._since = cells, None
            return False
        share = float(np.mean(np.abs(cells - self._empty) > self._config.contrast))
        if self._since is None:
            if share >= self._config.share:
                self._since = tick
                return True
            self._empty += _LEARN * (cells - self._empty)
        elif share < self._config.share * _LEAVE:
            self._since = None
        elif tick - self._since > self._config.relearn_s:
            self._empty, self._since = cells, None
        return False

    def _cells(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Means over a coarse grid of samples: float32, at most (64, 64), grey 0 to 255."""
        height, width = pixels.shape[:2]
        x, y, w, h = self._config.area or (0.0, 0.0, 1.0, 1.0)
        left, top = int(x * width), int(y * height)
        right = max(left + 1, round((x + w) * width))
        bottom = max(top + 1, round((y + h) * height))
        place = pixels[top:bottom, left:right]
        rows = np.linspace(0, place.shape[0] - 1, min(_CELLS, place.shape[0])).astype(int)
        columns = np.linspace(0, place.shape[1] - 1, min(_CELLS, place.shape[1])).astype(int)
        samples = place[rows[:, None], columns[None, :]].astype(np.float32)
        return np.asarray(samples.mean(axis=2), np.float32)

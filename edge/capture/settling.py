"""Waits until a camera that was just opened has settled: exposure, gain and white balance.

An automatic exposure starts dark or bright, and hides defects until it has found its value. So no
picture is judged before `settle_s`, `settle_frames` and `settle_steady` of config.yaml are met.
"""

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.capture.camera import Pixels
from edge.config import CameraConfig

log = logging.getLogger(__name__)

STEADY_LIMIT_S = 30.0  # no exposure takes longer; the light of the scene itself changes
_STEADY_S, _STEADY_PICTURES = 1.0, 5
_CELLS = 16  # the picture is compared as 16 × 16 cells
_SAMPLED_SIDE = 256
_RELATIVE, _ABSOLUTE = 0.03, 0.5  # a smaller change (share, or grey levels) is steady

Grid = NDArray[np.float32]


class Settling:
    """Follows one camera from each opening until it has settled. For one thread."""

    def __init__(self, config: CameraConfig) -> None:
        self._id = config.id
        self._settle_s, self._frames = config.settle_s, config.settle_frames
        self._needs_steady = config.waits_until_steady
        self.reopened()

    def reopened(self) -> None:
        """The camera was opened (again)."""
        self.settled = not (self._settle_s or self._frames or self._needs_steady)
        self._first_tick: float | None = None
        self._seen = 0
        self._steady = not self._needs_steady
        self._reference: Grid | None = None
        self._reference_tick, self._alike = 0.0, 0

    def add(self, pixels: Pixels, tick: float, frames: int = 1) -> str | None:
        """The next picture: why the camera has not settled yet; None when it has.

        pixels  uint8, (height, width, channels)
        tick    when it was taken, monotonic seconds
        frames  frames of the camera since the last one, with this one
        """
        if self.settled:
            return None
        if self._first_tick is None:
            self._first_tick = tick
        self._seen += frames
        age = tick - self._first_tick
        if not self._steady:
            self._steady = self._is_steady(_cell_means(pixels), tick)
        if age < self._settle_s:
            return f"settles: {age:.1f} s after it was opened (settle_s {self._settle_s:g})"
        if self._seen <= self._frames:
            return f"settles: picture {self._seen} (settle_frames {self._frames})"
        if not self._steady and age < STEADY_LIMIT_S:
            return f"settles: its brightness is not steady yet after {age:.1f} s (settle_steady)"
        if not self._steady:
            log.warning(
                "camera %s: brightness or colour is not steady after %g s; it is judged from now "
                "on: fix exposure and white balance, or, where the scene moves, set settle_steady: "
                "false and settle_s",
                *(self._id, STEADY_LIMIT_S),
            )
        self.settled = True
        self._reference = None
        log.debug("camera %s: settled after %.1f s, %d pictures", self._id, age, self._seen)
        return None

    def _is_steady(self, found: Grid, tick: float) -> bool:
        """Whether pictures have stayed alike for long enough. Few cells may change: parts move."""
        reference = self._reference
        if reference is None or reference.shape != found.shape or _differs(reference, found):
            self._reference, self._reference_tick, self._alike = found, tick, 1
            return False
        self._alike += 1
        return self._alike >= _STEADY_PICTURES and tick - self._reference_tick >= _STEADY_S


def _cell_means(pixels: Pixels) -> Grid:
    """The mean of each cell and channel, shape (cells, channels)."""
    height, width = pixels.shape[:2]
    sample = pixels[:: max(1, height // _SAMPLED_SIDE), :: max(1, width // _SAMPLED_SIDE)]
    small = cv2.resize(
        np.ascontiguousarray(sample, np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_AREA
    )
    return np.asarray(small, np.float32).reshape(-1, pixels.shape[2])


def _differs(one: Grid, other: Grid) -> bool:
    """Whether exposure or colour has changed: the middle cell's change in any channel."""
    change = np.abs(np.median(other - one, axis=0))
    level = np.maximum(np.median(one, axis=0), np.median(other, axis=0))
    return bool(np.any(change > np.maximum(_ABSOLUTE, _RELATIVE * level)))

"""The grain of two pictures that lie on each other, compared window by window in band-passes."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.sketch import Plane

WINDOWS = 8  # a side
ROUNDING = 0.3  # grey levels: the deviation that rounding to 8 bits makes of nothing
FLAT = 0.05  # of the picture's detail: less is the ringing of compression round an edge
LEAST_SEEN = 0.7  # of a window
AWAY = 5  # pixels
SHIFTS = ((0, AWAY), (AWAY, 0), (AWAY - 1, AWAY - 1), (AWAY - 1, 1 - AWAY))

Row = NDArray[np.float32]


class Ground:
    """The windows in which two pictures can be compared: those that `mask`, float32, (h, w), 0 or
    1, covers for the most part. They overlap by half, both ways."""

    def __init__(self, mask: Plane) -> None:
        self._mask = mask
        self._side = max(12, round(np.sqrt(mask.size) / WINDOWS))
        share = self._means(mask)
        self._whole = share > LEAST_SEEN
        self._share = share[self._whole]

    def bands(self, first: Plane, second: Plane, widths: Sequence[float]) -> list["Band"]:
        """What lies between each two widths of blur, in pixels, where the mask is."""
        weights = [cv2.GaussianBlur(self._mask, (0, 0), width) + 1e-3 for width in widths]
        ones, others = (
            [
                cv2.GaussianBlur(plane * self._mask, (0, 0), width) / weight
                for width, weight in zip(widths, weights)
            ]
            for plane in (first, second)
        )
        return [
            Band(self, (fine - coarse) * self._mask, (other_fine - other_coarse) * self._mask)
            for (fine, coarse), (other_fine, other_coarse) in zip(pairwise(ones), pairwise(others))
        ]

    def over(self, plane: Plane) -> Row:
        """Means over the windows: float32, (k,)."""
        return np.asarray(self._means(plane)[self._whole], np.float32)

    def spread(self, plane: Plane) -> Row:
        """Mean squares over what is seen of the windows: float32, (k,)."""
        return self.over(plane * plane) / self._share

    def sized(self, left: Row, right: Row) -> Row:
        """What a product of two that agree wholly would be, from their spreads."""
        return np.asarray(self._share * np.sqrt(left * right), np.float32)

    def _means(self, plane: Plane) -> Plane:
        size = (self._side, self._side)
        means = cv2.blur(plane, size, borderType=cv2.BORDER_CONSTANT)
        half = self._side // 2
        return np.asarray(means[half::half, half::half], np.float32)


class Band:
    """One band-pass of both pictures: float32, (h, w), grey levels."""

    def __init__(self, ground: Ground, one: Plane, other: Plane) -> None:
        self._ground, self._one, self._other = ground, one, other
        spreads = [ground.spread(plane) for plane in (one, other)]
        # Counted is where either shows more than rounding and ringing would.
        floors = [
            max(ROUNDING**2, FLAT**2 * float(spread.mean())) if len(spread) else 0.0
            for spread in spreads
        ]
        above = [np.maximum(spread, floor) for spread, floor in zip(spreads, floors)]
        self._counted = (above[0] > floors[0]) | (above[1] > floors[1])
        self._size = ground.sized(above[0], above[1])[self._counted]
        self.agreement = self._agreement(other)

    def _agreement(self, other: Plane) -> Row:
        product = self._ground.over(self._one * other)[self._counted]
        return np.asarray(product / self._size, np.float32)

    def lost_by_shifts(self) -> float:
        """The share of the agreement that a shift by 5 pixels destroys, in the direction that
        destroys least."""
        moved = [
            float(self._agreement(np.roll(self._other, step, (0, 1))).mean()) for step in SHIFTS
        ]
        return 1 - max(moved) / max(0.01, float(self.agreement.mean()))

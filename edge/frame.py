"""A frame: what one look of a camera brought, or why it brought nothing. It travels one way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """One look of one camera.

    `pixels` is uint8, shape (height, width, 3), BGR, 0 to 255; None when `fault` says why there
    is no trustworthy picture. `seq` counts this camera's looks from 1. `captured_at` is seconds
    since the epoch (for people), `captured_tick` monotonic seconds (for ages and latencies).
    `item` names the picture a folder or replay brought; `receipt` is what the outbox must write
    down in the same commit as the verdict, so that the item is never judged twice.
    """

    camera: str
    seq: int
    pixels: NDArray[np.uint8] | None
    captured_at: float
    captured_tick: float
    item: str | None = None
    receipt: str | None = None
    fault: str | None = None

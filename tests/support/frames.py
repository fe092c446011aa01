"""Frames and pixels for tests."""

import numpy as np
from numpy.typing import NDArray

from edge.core.frame import Frame


def solid(red: int, blue: int = 90, side: int = 32) -> NDArray[np.uint8]:
    """BGR pixels of one colour, (side, side, 3)."""
    return np.full((side, side, 3), (blue, 60, red), np.uint8)


def frame(
    seq: int = 1,
    red: int | None = 0,
    camera: str = "top",
    fault: str | None = None,
    tick: float = 1000.0,
) -> Frame:
    """A frame of one colour, or without pixels when `red` is None."""
    pixels = None if red is None or fault else solid(red)
    return Frame(camera, seq, pixels, 1_700_000_000.0 + tick, tick, fault=fault)


def noise_frame(seq: int, side: int) -> Frame:
    """A frame of noise, which does not compress."""
    pixels = np.random.default_rng(seq).integers(0, 256, (side, side, 3)).astype(np.uint8)
    return Frame("top", seq, pixels, 1_700_000_000.0, 1000.0)

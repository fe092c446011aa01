"""Area averaging with fixed rounding: slow, and the same on all processors.

OpenCV's own area averaging differs between ARM and x86-64: measured, by one grey level in some
thousandths of the values, where an average lies halfway between two levels. Probably OpenCV
multiplies and adds in one step (one rounding) on ARM and in two on x86-64. Golden pictures use this
module, so that both processors give the same score.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.terms import Pixels


def area_resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """`cv2.resize(…, INTER_AREA)` of x86-64, bit by bit, on every processor.

    `pixels` is uint8, (h, w, 3), with h ≥ `height` and w ≥ `width`. Returns uint8,
    (height, width, 3).
    """
    rows, columns = pixels.shape[:2]
    if columns % width == 0 and rows % height == 0:  # whole blocks: exact integer sums
        return np.asarray(
            cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )
    across = _weighted(pixels.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return np.asarray(np.clip(np.rint(_weighted(across, height)), 0, 255), np.uint8)


def _weighted(lines: NDArray[np.generic], count: int) -> NDArray[np.float32]:
    """`count` weighted sums of consecutive `lines`, accumulated in single precision."""
    total = np.zeros((count, *lines.shape[1:]), np.float32)
    term = np.empty_like(total)
    for chosen, weights in _taps(len(lines), count):
        np.multiply(
            lines[chosen], weights.reshape(-1, *(1 for _ in lines.shape[1:])), out=term
        )  # two operations on purpose: each rounds
        total += term
    return total


@lru_cache(maxsize=8)
def _taps(source: int, count: int) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """OpenCV's filter taps: which of `source` lines enter each of `count` sums, and their weights.

    Entry n holds the n-th line of every sum. A sum with fewer lines gets weight 0 there.
    """
    scale = 1.0 / (count / source)
    begin = np.arange(count) * scale
    end = begin + scale
    cell = np.minimum(scale, source - begin)
    last = np.minimum(np.floor(end), source - 1)
    first = np.minimum(np.ceil(begin), last)
    before = np.where(first - begin > 1e-3, (first - begin) / cell, 0.0)
    after = np.where(end - last > 1e-3, np.minimum(np.minimum(end - last, 1.0), cell) / cell, 0.0)
    start = first - (before > 0)
    taps = []
    for nth in range(int((last - start).max()) + 1):
        line = start + nth
        weight = np.select(
            [line < first, line < last, line == last], [before, 1.0 / cell, after], 0.0
        )
        taps.append((np.minimum(line, last).astype(np.intp), weight.astype(np.float32)))
    return taps

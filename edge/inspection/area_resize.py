"""Area averaging with every rounding pinned: the same on all processors, and slow.

OpenCV's own differs between ARM and x86-64 by one grey level in some thousandths of the values,
where averages lie half way between two levels. That was measured. The reason is probably that for
ARM it multiplies and adds in one step (one rounding), for x86-64 in two. Golden pictures are judged
through this one, so that a box of either kind gives the score that the other was tested with.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def area_resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """`cv2.resize(…, INTER_AREA)` as it is on x86-64, to the last bit, on every processor.

    `pixels` is uint8, (h, w, 3), and not smaller than `width` × `height` in either direction.
    Returns uint8, (height, width, 3).
    """
    rows, columns = pixels.shape[:2]
    if columns % width == 0 and rows % height == 0:  # whole blocks: sums of integers, alike anyway
        return np.asarray(
            cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )
    across = _weighted(pixels.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return np.asarray(np.clip(np.rint(_weighted(across, height)), 0, 255), np.uint8)


def _weighted(lines: NDArray[np.generic], count: int) -> NDArray[np.float32]:
    """`count` weighted sums of consecutive `lines`, added one by one in single precision."""
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
    """Of which of `source` lines each of `count` sums is made, and with which weights, as OpenCV
    counts them: the first line of each, the second of each, and so on. A sum that has no more of
    them gets some line with weight 0, which changes nothing."""
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

"""Area averaging with every rounding pinned: the same on all processors, and slow.

OpenCV's own differs between ARM and x86-64 by one grey level in some thousandths of the values,
where averages lie half way between two levels. That was measured. The reason is probably that for
ARM it multiplies and adds in one step (one rounding), for x86-64 in two. Golden pictures are judged
through this one, so that a box of either kind gives the score that the other was tested with.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def area_mean(pixels: Pixels, width: int, height: int) -> Pixels:
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
    taps = [_taps(place, len(lines), count) for place in range(count)]
    total = np.zeros((count, *lines.shape[1:]), np.float32)
    for nth in range(max(map(len, taps))):
        # Where there is no such tap any more: a line with weight 0, which changes nothing.
        chosen = [tap[min(nth, len(tap) - 1)][0] for tap in taps]
        weights = [tap[nth][1] if nth < len(tap) else 0.0 for tap in taps]
        weight = np.asarray(weights, np.float32).reshape(-1, *(1 for _ in lines.shape[1:]))
        term = lines[chosen].astype(np.float32) * weight
        total = total + term  # two operations on purpose: each rounds
    return total


def _taps(place: int, source: int, count: int) -> list[tuple[int, float]]:
    """The lines that one sum is made of, with their weights, as OpenCV counts them."""
    scale = 1.0 / (count / source)
    begin = place * scale
    end = begin + scale
    cell = min(scale, source - begin)
    last = min(math.floor(end), source - 1)
    first = min(math.ceil(begin), last)
    taps: list[tuple[int, float]] = []
    if first - begin > 1e-3:
        taps.append((first - 1, (first - begin) / cell))
    taps += [(line, 1.0 / cell) for line in range(first, last)]
    if end - last > 1e-3:
        taps.append((last, min(end - last, 1.0, cell) / cell))
    return taps

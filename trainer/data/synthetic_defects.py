"""Paints defects on pictures of good parts, for plants that have no real defects yet.

The kinds are a turned piece of another place or part (CutPaste: Li et al. 2021), a scratch, a
spot and a blurred patch. Like a real defect, each puts something where it does not belong.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float32]
Random = np.random.Generator

MIN_CONTRAST = 12.0  # grey levels: a defect must show on an even picture too
EDGE_SIGMA = (0.5, 2.5)  # sigma in pixels of a painted edge


def paint(pictures: Pictures, others: Pictures, rng: Random) -> Pictures:
    """Paints one defect of a random kind at a random place on each picture.

    `pictures`, `others` (the source of pasted pieces) and the result are uint8,
    (n, height, width, channels), 0 to 255; the result is a copy. The same state of `rng` gives
    the same defects.
    """
    painted = np.empty_like(pictures)
    for at, (picture, other) in enumerate(zip(pictures, others)):
        values = picture.astype(np.float32)
        spread = max(MIN_CONTRAST, float(values.std()))
        kind = KINDS[rng.integers(len(KINDS))]
        painted[at] = np.clip(np.rint(kind(values, other, spread, rng)), 0, 255)
    return painted


def _patch(values: Floats, other: Pictures, spread: float, rng: Random) -> Floats:
    return _pasted(values, other, spread, rng, ((0.06, 0.25), (0.06, 0.25)))


def _strip(values: Floats, other: Pictures, spread: float, rng: Random) -> Floats:
    return _pasted(values, other, spread, rng, ((0.02, 0.06), (0.1, 0.4)))


def _pasted(
    values: Floats,
    other: Pictures,
    spread: float,
    rng: Random,
    shares: tuple[tuple[float, float], tuple[float, float]],
) -> Floats:
    """Pastes a piece at another brightness and a random angle.

    `shares` are the ranges of its height and width, as fractions of the picture's.
    """
    height, width, _channels = values.shape
    h, w = (2 + int(rng.uniform(*share) * side) for share, side in zip(shares, (height, width)))
    source = other.astype(np.float32) if rng.random() < 0.5 else values
    (y, x), (top, left) = ((rng.integers(height - h), rng.integers(width - w)) for _ in range(2))
    piece = source[y : y + h, x : x + w] * rng.uniform(0.6, 1.4) + 0.7 * rng.uniform(-1, 1) * spread
    layer, mask = np.zeros_like(values), np.zeros((height, width), np.float32)
    layer[top : top + h, left : left + w] = piece
    mask[top : top + h, left : left + w] = 1
    middle = (left + w / 2, top + h / 2)
    around = cv2.getRotationMatrix2D(middle, float(rng.uniform(0, 360)), 1.0)
    layer, mask = (
        np.asarray(cv2.warpAffine(plane, around, (width, height)), np.float32)
        for plane in (layer, mask)
    )
    return _mixed(values, layer.reshape(values.shape), mask)


def _scratch(values: Floats, _other: Pictures, spread: float, rng: Random) -> Floats:
    height, width, _channels = values.shape
    side = np.array([width, height])
    points = [rng.uniform(0.1, 0.9, 2) * side]
    heading = rng.uniform(0, 2 * np.pi)
    for _ in range(rng.integers(2, 6)):
        heading += rng.normal(0, 0.4)
        step = rng.uniform(0.03, 0.15) * side * (np.cos(heading), np.sin(heading))
        points.append(points[-1] + step)
    mask = np.zeros((height, width), np.float32)
    line = np.rint(points).astype(np.int32)
    cv2.polylines(mask, [line], False, 1.0, int(rng.integers(1, 4)), cv2.LINE_AA)
    return _shaded(values, mask, spread, rng)


def _spot(values: Floats, _other: Pictures, spread: float, rng: Random) -> Floats:
    return _shaded(values, _ellipse(values, (0.008, 0.07), rng), spread, rng)


def _smear(values: Floats, _other: Pictures, spread: float, rng: Random) -> Floats:
    blurred = cv2.GaussianBlur(values, (0, 0), float(rng.uniform(2, 6)))
    flat = np.asarray(blurred, np.float32).reshape(values.shape) + rng.uniform(-0.5, 0.5) * spread
    return _mixed(values, flat, _soft(_ellipse(values, (0.05, 0.2), rng), rng))


KINDS: tuple[Callable[[Floats, Pictures, float, Random], Floats], ...] = (
    _patch,
    _strip,
    _scratch,
    _spot,
    _smear,
)


def _ellipse(values: Floats, half_axes: tuple[float, float], rng: Random) -> Floats:
    """A random ellipse: 1 inside, 0 outside.

    `half_axes` is the range of its half axes, as fractions of the width.
    """
    height, width, _channels = values.shape
    mask = np.zeros((height, width), np.float32)
    x, y = (rng.uniform(0.1, 0.9, 2) * (width, height)).astype(int).tolist()
    axes = (1 + rng.uniform(*half_axes, 2) * width).astype(int).tolist()
    cv2.ellipse(mask, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1, cv2.LINE_AA)
    return mask


def _shaded(values: Floats, mask: Floats, spread: float, rng: Random) -> Floats:
    """Makes the masked place darker or brighter."""
    strength = rng.choice([-1, 1]) * rng.uniform(0.7, 3.0) * spread
    return np.asarray(values + np.float32(strength) * _soft(mask, rng)[..., None])


def _soft(mask: Floats, rng: Random) -> Floats:
    blurred = np.asarray(
        cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(*EDGE_SIGMA))), np.float32
    )
    return blurred / max(float(blurred.max()), 1e-6)


def _mixed(values: Floats, layer: Floats, mask: Floats) -> Floats:
    return np.asarray(values * (1 - mask[..., None]) + layer * mask[..., None])

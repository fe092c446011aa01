"""What is kept of a picture so that its copies are found: a small thumbnail and a few key points.

Both are taken from the picture as it would look under one standard light, so that another
exposure, gamma or offset leaves them nearly as they were.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Plane = NDArray[np.float32]

THUMBNAIL_SIDE = 96  # pixels a side: 9 KB a picture
SIDE = 192  # square root of the area at which key points are sought
KEPT = 64  # key points kept: 8 KB a picture
FILL = 8  # grey levels that compression makes of one
LEAST_FILL = 0.003
MOST_FILL = 0.4
_TOO_FLAT = 1e-3

# A SIFT descriptor is 4 rows × 4 columns × 8 directions, in the frame of its key point (Lowe,
# 2004). In a mirrored picture the rows run the other way and the directions turn the other way.
_CELLS = np.arange(128).reshape(4, 4, 8)
MIRRORED = _CELLS[::-1][:, :, (-np.arange(8)) % 8].reshape(128)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`thumbnail`: uint8, (96, 96), the whole picture squeezed to a square, under standard light.

    `points`: float32, (k, 2), x and y from 0 to 1 across and down the picture; `descriptors`:
    uint8, (k, 128), SIFT; k is at most 64, the strongest first. `aspect` is width / height.
    """

    thumbnail: Grey
    points: Plane
    descriptors: Grey
    aspect: float


EMPTY_FINGERPRINT = Fingerprint(
    np.empty((0, 0), np.uint8), np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8), 1.0
)


def fingerprint(grey: Grey) -> Fingerprint:
    """The fingerprint of a picture, uint8, (height, width)."""
    small = resized(grey, SIDE)
    real = unfilled_mask(small)
    even = standard_light(small, real)
    height, width = even.shape
    inside = np.asarray(cv2.erode(real, np.ones((9, 9), np.uint8), borderValue=255), np.uint8)
    finder = cv2.SIFT.create(nfeatures=KEPT, contrastThreshold=0.01)
    found, described = finder.detectAndCompute(even, inside)
    square = np.asarray(
        cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA), np.uint8
    )
    shape = cv2.resize(real, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_NEAREST)
    thumbnail = standard_light(square, np.asarray(shape, np.uint8))
    if described is None or not len(found):
        return Fingerprint(
            thumbnail, EMPTY_FINGERPRINT.points, EMPTY_FINGERPRINT.descriptors, width / height
        )
    places = np.array([point.pt for point in found], np.float64) / (width, height)
    return Fingerprint(
        thumbnail,
        places[:KEPT].astype(np.float32),
        np.asarray(described[:KEPT], np.uint8),
        width / height,
    )


def unfilled_mask(grey: Grey) -> Grey:
    """255 where the picture shows something, 0 in corners that an editor filled when it turned or
    sheared the picture: uint8, (height, width).

    Such a corner is of one grey and convex, with few vertices; one alone may be part of the scene.
    """
    height, width = grey.shape
    real = np.full((height, width), 255, np.uint8)
    corners = 0
    for corner in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if real[corner[1], corner[0]] == 0:  # a strip along one side covers two corners
            corners += 1
            continue
        mask = np.zeros((height + 2, width + 2), np.uint8)
        flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (255 << 8)
        cv2.floodFill(grey, mask, corner, 0, FILL, FILL, flags)
        region = np.ascontiguousarray(mask[1:-1, 1:-1])
        if LEAST_FILL < np.count_nonzero(region) / region.size < MOST_FILL and _convex(region):
            real[region > 0] = 0
            corners += 1
    return real if corners > 1 else np.full((height, width), 255, np.uint8)


def _convex(region: Grey) -> bool:
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = max(outlines, key=cv2.contourArea)
    hull = cv2.convexHull(outline)
    if cv2.contourArea(outline) < 0.85 * cv2.contourArea(hull):
        return False
    return len(cv2.approxPolyDP(hull, 3, True)) <= 5


def resized(grey: Grey, side: int) -> Grey:
    """The picture with an area of about `side`², its proportions kept: uint8, (height, width)."""
    height, width = grey.shape
    scale = min(4.0, side / float(np.sqrt(height * width)))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)


def standard_light(grey: Grey, real: Grey) -> Grey:
    """Local contrast brought to one standard: uint8, (height, width), middle grey 128.

    The mean and the spread of each neighbourhood (a sixth of the side) are divided out, which
    takes away gain, offset, shading and, to first order, gamma. `real` is 255 where the picture
    shows something: only that counts.
    """
    plane = grey.astype(np.float32)
    there = (real > 0).astype(np.float32)
    reach = max(2.0, min(plane.shape) / 6)
    weight = blurred(there, reach) + 1e-3
    plane = blurred(plane, 0.8)
    off = (plane - blurred(plane * there, reach) / weight) * there
    spread = np.sqrt(blurred(off * off, reach) / weight)
    floor = 0.25 * float(spread[real > 0].mean()) + _TOO_FLAT
    return np.asarray(np.clip(128 + 42 * off / (spread + floor), 0, 255), np.uint8)


def blurred(plane: Plane, width: float) -> Plane:
    """Gaussian blur of `width` pixels. A wide one is done on a picture of a quarter of the side:
    it has nothing finer to lose, and costs a twentieth."""
    if width < 6 or min(plane.shape) < 32:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), width), np.float32)
    size = (plane.shape[1], plane.shape[0])
    small = cv2.resize(plane, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), width / 4)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.float32)

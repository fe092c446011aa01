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

THUMB = 96  # pixels a side: 9 KB a picture
SIDE = 192  # square root of the area at which key points are sought
KEPT = 48  # key points kept: 6 KB a picture
_TOO_FLAT = 1e-3

# A SIFT descriptor is 4 rows × 4 columns × 8 directions, in the frame of its key point (Lowe,
# 2004). In a mirrored picture the rows run the other way and the directions turn the other way.
_CELLS = np.arange(128).reshape(4, 4, 8)
MIRRORED = _CELLS[::-1][:, :, (-np.arange(8)) % 8].reshape(128)


@dataclass(frozen=True, slots=True)
class Sketch:
    """`thumb`: uint8, (96, 96), the whole picture squeezed to a square, under standard light.

    `points`: float32, (k, 2), x and y from 0 to 1 across and down the picture; `descriptors`:
    uint8, (k, 128), SIFT; k is at most 48, the strongest first.
    """

    thumb: Grey
    points: Plane
    descriptors: Grey


EMPTY = Sketch(
    np.empty((0, 0), np.uint8), np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8)
)


def sketch(grey: Grey) -> Sketch:
    """The sketch of a picture, uint8, (height, width)."""
    even = standard_light(resized(grey, SIDE))
    height, width = even.shape
    found, described = cv2.SIFT.create(nfeatures=KEPT, contrastThreshold=0.01).detectAndCompute(
        even, None
    )
    square = cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    thumb = standard_light(np.asarray(square, np.uint8))
    if described is None or not len(found):
        return Sketch(thumb, np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8))
    points = np.array([point.pt for point in found], np.float32) / (width, height)
    return Sketch(thumb, points.astype(np.float32)[:KEPT], described.astype(np.uint8)[:KEPT])


def resized(grey: Grey, side: int) -> Grey:
    """The picture with an area of about `side`², its proportions kept: uint8, (height, width)."""
    height, width = grey.shape
    scale = min(4.0, side / float(np.sqrt(height * width)))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)


def standard_light(grey: Grey) -> Grey:
    """Local contrast brought to one standard: uint8, (height, width), middle grey 128.

    The mean and the spread of each neighbourhood (a sixth of the side) are divided out, which
    takes away gain, offset, shading and, to first order, gamma.
    """
    return np.asarray(np.clip(128 + 42 * evened(grey), 0, 255), np.uint8)


def evened(grey: Grey) -> Plane:
    """(p − local mean) / (local spread + floor): float32, (height, width)."""
    plane = grey.astype(np.float32)
    reach = max(2.0, min(plane.shape) / 6)
    plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), 0.8), np.float32)
    mean = np.asarray(cv2.GaussianBlur(plane, (0, 0), reach), np.float32)
    off = plane - mean
    spread = np.sqrt(np.asarray(cv2.GaussianBlur(off * off, (0, 0), reach), np.float32))
    floor = 0.25 * float(spread.mean()) + _TOO_FLAT
    return np.asarray(off / (spread + floor), np.float32)

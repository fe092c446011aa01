"""The fingerprint of a picture, by which copies are found: a thumbnail and a few key points.

Both come from the picture under standard light, so exposure, gamma and offset hardly change them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Plane = NDArray[np.float32]

THUMBNAIL_SIDE = 96  # pixels a side: 9 KB a picture
KEYPOINT_SIDE = 192  # square root of the area that is searched for key points, pixels
MAX_POINTS = 64  # key points kept: 8 KB a picture
FILL_TOLERANCE = 8  # grey levels by which compression changes a uniform corner
MIN_FILL_SHARE = 0.003
MAX_FILL_SHARE = 0.4
_MIN_SPREAD = 1e-3

# A SIFT descriptor is 4 rows × 4 columns × 8 directions, in the frame of its key point (Lowe,
# 2004). Mirroring the picture reverses the rows and the sense of the directions.
_CELLS = np.arange(128).reshape(4, 4, 8)
MIRRORED = _CELLS[::-1][:, :, (-np.arange(8)) % 8].reshape(128)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The fingerprint of a picture.

    - `thumbnail`: uint8, (96, 96), the whole picture scaled to a square, under standard light.
    - `points`: float32, (k, 2), x and y from 0 to 1; k is at most 64, the strongest first.
    - `descriptors`: uint8, (k, 128), SIFT.
    - `aspect`: width / height.
    """

    thumbnail: Grey
    points: Plane
    descriptors: Grey
    aspect: float


EMPTY_FINGERPRINT = Fingerprint(
    np.empty((0, 0), np.uint8), np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8), 1.0
)


def fingerprint(grey: Grey) -> Fingerprint:
    """The fingerprint of a grey picture, uint8, (height, width)."""
    small = resized(grey, KEYPOINT_SIDE)
    valid = unfilled_mask(small)
    levelled = standard_light(small, valid)
    height, width = levelled.shape
    inside = np.asarray(cv2.erode(valid, np.ones((9, 9), np.uint8), borderValue=255), np.uint8)
    # two layers an octave cost less than three and find as many copies (0057)
    finder = cv2.SIFT.create(nfeatures=MAX_POINTS, nOctaveLayers=2, contrastThreshold=0.01)
    keypoints, descriptors = finder.detectAndCompute(levelled, inside)
    square = np.asarray(
        cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA), np.uint8
    )
    shape = cv2.resize(valid, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_NEAREST)
    thumbnail = standard_light(square, np.asarray(shape, np.uint8))
    if descriptors is None or not len(keypoints):
        return Fingerprint(
            thumbnail, EMPTY_FINGERPRINT.points, EMPTY_FINGERPRINT.descriptors, width / height
        )
    places = np.array([point.pt for point in keypoints], np.float64) / (width, height)
    return Fingerprint(
        thumbnail,
        places[:MAX_POINTS].astype(np.float32),
        np.asarray(descriptors[:MAX_POINTS], np.uint8),
        width / height,
    )


def unfilled_mask(grey: Grey) -> Grey:
    """0 in corners that an editor filled when it turned or sheared the picture, else 255.

    The mask is uint8, (height, width). A filled corner is uniform and convex, with few vertices.
    A single such corner may be part of the scene and does not count.
    """
    height, width = grey.shape
    valid = np.full((height, width), 255, np.uint8)
    corners = 0
    for corner in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if valid[corner[1], corner[0]] == 0:  # a strip along one side covers two corners
            corners += 1
            continue
        mask = np.zeros((height + 2, width + 2), np.uint8)
        flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (255 << 8)
        cv2.floodFill(grey, mask, corner, 0, FILL_TOLERANCE, FILL_TOLERANCE, flags)
        region = np.ascontiguousarray(mask[1:-1, 1:-1])
        share = np.count_nonzero(region) / region.size
        if MIN_FILL_SHARE < share < MAX_FILL_SHARE and _convex(region):
            valid[region > 0] = 0
            corners += 1
    return valid if corners > 1 else np.full((height, width), 255, np.uint8)


def _convex(region: Grey) -> bool:
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = max(outlines, key=cv2.contourArea)
    hull = cv2.convexHull(outline)
    if cv2.contourArea(outline) < 0.85 * cv2.contourArea(hull):
        return False
    return len(cv2.approxPolyDP(hull, 3, True)) <= 5


def resized(grey: Grey, side: int) -> Grey:
    """The picture scaled to an area of about `side`², uint8; the aspect ratio stays."""
    height, width = grey.shape
    scale = min(4.0, side / float(np.sqrt(height * width)))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)


def standard_light(grey: Grey, valid: Grey) -> Grey:
    """Normalises the local contrast: uint8, (height, width), middle grey 128.

    Subtracts the mean of each neighbourhood (a sixth of the side) and divides by its spread. This
    removes gain, offset, shading and, to first order, gamma. Only pixels where `valid` is 255
    count.
    """
    plane = grey.astype(np.float32)
    weights = (valid > 0).astype(np.float32)
    reach = max(2.0, min(plane.shape) / 6)
    blurred_weights = blurred(weights, reach) + 1e-3
    plane = blurred(plane, 0.8)
    offset = (plane - blurred(plane * weights, reach) / blurred_weights) * weights
    spread = np.sqrt(blurred(offset * offset, reach) / blurred_weights)
    floor = 0.25 * float(spread[valid > 0].mean()) + _MIN_SPREAD
    return np.asarray(np.clip(128 + 42 * offset / (spread + floor), 0, 255), np.uint8)


def blurred(plane: Plane, width: float) -> Plane:
    """Gaussian blur of `width` pixels (sigma).

    A wide blur runs at a quarter of the side: it loses no detail and costs a twentieth.
    """
    if width < 6 or min(plane.shape) < 32:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), width), np.float32)
    size = (plane.shape[1], plane.shape[0])
    small = cv2.resize(plane, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), width / 4)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.float32)


def root_sift(descriptors: Grey, *, mirrored: bool = False) -> Plane:
    """RootSIFT (Arandjelović and Zisserman, 2012): float32, (k, 128), length 1.

    Its products compare key points better than SIFT's. `descriptors` are SIFT, uint8, (k, 128);
    with `mirrored` the result is that of the mirrored picture.
    """
    rows = (descriptors[:, MIRRORED] if mirrored else descriptors).astype(np.float32)
    return np.asarray(np.sqrt(rows / (rows.sum(axis=1, keepdims=True) + 1e-6)), np.float32)

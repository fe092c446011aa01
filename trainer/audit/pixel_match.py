"""A closer look at pairs that may be copies: both pictures read again, laid on each other pixel by
pixel, and their grain compared place by place.

A thumbnail shows what a part looks like, and parts of one design look alike. The grain at the scale
of single pixels shows which part it is: in a copy it agrees everywhere, whatever was done to the
picture; in two parts it agrees only where the design draws it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import (
    MIRRORED,
    THUMBNAIL_SIDE,
    Grey,
    Plane,
    resized,
    standard_light,
    unfilled_mask,
)
from trainer.audit.pose import MOST_SCALE, MOST_STRETCH, Pose

SIDE = 224  # square root of the area compared: networks of this field see no more
WINDOWS = 8  # a side
# Widths of three band-passes, pixels: below them is what compression writes, above them is shading.
BANDS = ((0.7, 1.4), (1.4, 2.8), (2.8, 5.6))
ROUNDING = 0.3  # grey levels: the deviation that rounding to 8 bits makes of nothing
FLAT = 0.05  # of the picture's detail: less is the ringing of compression round an edge
LEAST_SEEN = 0.7  # of a window
LEAST_OVERLAP = 0.2
CLIPPED = (2, 253)
MOST_CLIPPED = 0.5  # of the picture: one that has more is black and white by nature
LOW = 0.1
STEPS = 30
POINTS = 400  # key points a picture; a fingerprint has 64, of which a tilted copy may share too few
LIKE_POINTS = 0.8  # product of two RootSIFT descriptors: the same corner under another light
WELL_LAID = 0.6  # of the grain: better than any pair that does not lie as it should
AWAY = 5  # pixels
COVERED = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
EXACT = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP

# Where certainty begins (docs/audit.md has the figures). Grain: planted copies that were aligned
# lie at 0.5 and more, compressed to a third included; different tiles and solar cells at 0.33 and
# less. Drawings of a few straight lines are laid on others of their kind at up to 0.89, but with
# few key points and much empty ground: the less there is to agree in, the more it must agree.
LEAST_GRAIN = 0.42
MANY_POINTS = 24
NEARLY_EQUAL = 0.95
FEW_POINTS = 6
FEWEST_WINDOWS = 8
SPARSE, DENSE = 32, 56  # windows
SHARE_OF_DENSE = 0.7  # of what many key points prove: a design may be dense too
LEAST_SHARP = 0.1


@dataclass(frozen=True, slots=True)
class ComparedPicture:
    """A picture to be compared: `grey`, uint8, (height, width), at most 224 × 224 in area, and
    `real`, 255 where it shows something: neither filled by an editor nor clipped; `even`: the same
    under standard light. `points`: float32, (k, 2), key points in pixels; `descriptors`: uint8,
    (k, 128), SIFT; k is at most 400."""

    grey: Grey
    real: Grey
    even: Grey
    points: Plane
    descriptors: Grey


@dataclass(frozen=True, slots=True)
class PixelMatch:
    """How the grain of two pictures agrees.

    `texture`: mean over three bands of the correlation, -1 to 1, of the windows at the lower tenth.
    `sharpness`: the share of it, to 1, that a shift by 5 pixels destroys, in the direction that
    destroys least: lines lose nothing along themselves. `windows`: how many of 64 show something.
    """

    texture: float = 0.0
    sharpness: float = 0.0
    windows: float = 0.0

    def certain(self, support: int) -> bool:
        """Whether they show one part and nothing else could, when `support` key points of both
        lie on each other."""
        if self.windows < FEWEST_WINDOWS or self.sharpness < LEAST_SHARP:
            return False
        points = (support - FEW_POINTS) / (MANY_POINTS - FEW_POINTS)
        ground = SHARE_OF_DENSE * min(1.0, (self.windows - SPARSE) / (DENSE - SPARSE))
        content = min(1.0, max(0.0, points, ground))
        least = NEARLY_EQUAL + (LEAST_GRAIN - NEARLY_EQUAL) * content
        return self.texture >= least


NO_MATCH = PixelMatch()


def compared_picture(grey: Grey) -> ComparedPicture:
    """What is compared of a picture, uint8, (height, width)."""
    small = resized(grey, SIDE) if grey.size > SIDE * SIDE else grey
    real = unfilled_mask(small)
    lost = ((small < CLIPPED[0]) | (small > CLIPPED[1])).astype(np.uint8)
    # One clipped pixel is a highlight; where all of a neighbourhood is, nothing can be seen.
    lost = np.asarray(cv2.erode(lost, np.ones((5, 5), np.uint8)), np.uint8)
    lost = np.asarray(cv2.dilate(lost, np.ones((7, 7), np.uint8)), np.uint8)
    if lost.mean() < MOST_CLIPPED:
        real[lost > 0] = 0
    even = standard_light(small, real)
    finder = cv2.SIFT.create(nfeatures=POINTS, contrastThreshold=0.01)
    found, descriptors = finder.detectAndCompute(even, _inner(real))
    points = np.array([point.pt for point in found], np.float32).reshape(-1, 2)
    if descriptors is None:
        descriptors = np.empty((0, 128), np.float32)
    return ComparedPicture(small, real, even, points, np.asarray(descriptors, np.uint8))


def match_pixels(first: ComparedPicture, second: ComparedPicture, pose: Pose) -> PixelMatch:
    """How the grain of two pictures agrees; `pose` maps pixels of the first's thumbnail to the
    second's. Where they do not agree that way, their key points say how else they may lie."""
    found = _laid(first, second, _in_pixels(pose, first, second))
    if found.texture >= WELL_LAID:
        return found
    way = _by_points(first, second, bool(np.linalg.det(pose[:, :2]) < 0))
    if way is None:
        return found
    return max(found, _laid(first, second, way), key=lambda one: one.texture)


def _by_points(first: ComparedPicture, second: ComparedPicture, mirrored: bool) -> Pose | None:
    """The map that most of the key points that look alike agree on (RANSAC), in pixels."""
    if min(len(first.points), len(second.points)) < 4:
        return None
    one, other = (
        np.sqrt(rows / (rows.sum(axis=1, keepdims=True) + 1e-6))
        for rows in (
            first.descriptors.astype(np.float32),
            (second.descriptors[:, MIRRORED] if mirrored else second.descriptors).astype(
                np.float32
            ),
        )
    )
    alike = one @ other.T
    forth, back = alike.argmax(axis=1), alike.argmax(axis=0)
    rows = np.flatnonzero(
        (back[forth] == np.arange(len(forth))) & (alike.max(axis=1) > LIKE_POINTS)
    )
    if len(rows) < 4:
        return None
    estimate, _ = cv2.estimateAffine2D(
        first.points[rows], second.points[forth[rows]], ransacReprojThreshold=3.0, maxIters=500
    )
    if estimate is None:
        return None
    way = np.asarray(estimate, np.float64)
    long, short = np.linalg.svd(way[:, :2], compute_uv=False)
    fits = long < MOST_SCALE and short > 1 / MOST_SCALE and long < MOST_STRETCH * short
    return way if fits and bool(np.linalg.det(way[:, :2]) < 0) == mirrored else None


def _laid(first: ComparedPicture, second: ComparedPicture, way: Pose) -> PixelMatch:
    """How the grain agrees when pixels of the first lie on the second as `way` says, or nearly."""
    if abs(np.linalg.det(way[:, :2])) < 1:  # compared on the grid of the coarser
        first, second = second, first
        way = np.asarray(cv2.invertAffineTransform(way), np.float64)
    reduced = float(np.sqrt(abs(np.linalg.det(way[:, :2]))))
    if reduced > 1.15:  # else it would alias
        width = 0.5 * float(np.sqrt(reduced**2 - 1))
        grey, even = (cv2.GaussianBlur(it, (0, 0), width) for it in (second.grey, second.even))
        second = replace(second, grey=np.asarray(grey, np.uint8), even=np.asarray(even, np.uint8))
    way = _refined(first, second, way)
    size = (first.grey.shape[1], first.grey.shape[0])
    aligned = cv2.warpAffine(second.grey.astype(np.float32), way, size, flags=EXACT)
    there = np.asarray(cv2.warpAffine(_inner(second.real), way, size, flags=COVERED)) > 254
    mask = (there & (_inner(first.real) > 0)).astype(np.float32)
    if mask.mean() < LEAST_OVERLAP:
        return NO_MATCH
    return _compared(first.grey.astype(np.float32), np.asarray(aligned, np.float32), mask)


def _inner(real: Grey) -> Grey:
    """Without what interpolation took from outside."""
    kernel, border = np.ones((5, 5), np.uint8), cv2.BORDER_CONSTANT
    return np.asarray(cv2.erode(real, kernel, borderType=border, borderValue=0), np.uint8)


def _in_pixels(pose: Pose, first: ComparedPicture, second: ComparedPicture) -> Pose:
    def scaled(one: ComparedPicture) -> NDArray[np.float64]:
        height, width = one.grey.shape
        across, down = width / THUMBNAIL_SIDE, height / THUMBNAIL_SIDE
        return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])

    whole = np.vstack([pose, [0, 0, 1]])
    return np.asarray((scaled(second) @ whole @ np.linalg.inv(scaled(first)))[:2], np.float64)


def _refined(first: ComparedPicture, second: ComparedPicture, way: Pose) -> Pose:
    """The way that maximises their correlation; the start where that does not converge."""
    one, other = first.even.astype(np.float32), second.even.astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, STEPS, 1e-4)
    start, inside = way.astype(np.float32), _inner(first.real)
    try:
        _, found = cv2.findTransformECC(one, other, start, cv2.MOTION_AFFINE, criteria, inside, 5)
    except cv2.error:
        return way
    return np.asarray(found, np.float64)


def _compared(first: Plane, aligned: Plane, mask: Plane) -> PixelMatch:
    side = max(12, round(np.sqrt(first.size) / WINDOWS))
    share = _windows(mask, side)
    whole = share > LEAST_SEEN
    if not whole.any():
        return NO_MATCH
    lows, counts, sharps = [], [], []
    for narrow, wide in BANDS:
        one, other = _bands((first, aligned), mask, narrow, wide)
        energies = [_windows(band * band, side)[whole] / share[whole] for band in (one, other)]
        # Counted is where either shows more than rounding and ringing would.
        floors = [max(ROUNDING**2, FLAT**2 * float(energy.mean())) for energy in energies]
        above = [np.maximum(energy, floor) for energy, floor in zip(energies, floors)]
        counted = (above[0] > floors[0]) | (above[1] > floors[1])
        if not counted.any():
            return NO_MATCH
        size = share[whole] * np.sqrt(above[0] * above[1])
        agree = (_windows(one * other, side)[whole] / size)[counted]
        lows.append(float(np.quantile(agree, LOW)))
        counts.append(np.count_nonzero(counted) / 4)  # windows overlap by half, both ways
        moved = [
            float(
                (_windows(one * np.roll(other, step, (0, 1)), side)[whole] / size)[counted].mean()
            )
            for step in ((0, AWAY), (AWAY, 0), (AWAY - 1, AWAY - 1), (AWAY - 1, 1 - AWAY))
        ]
        sharps.append(1 - max(moved) / max(0.01, float(agree.mean())))
    # The coarsest band is about as wide as the shift: it tells nothing of it.
    return PixelMatch(float(np.mean(lows)), float(min(sharps[:2])), float(max(counts)))


def _bands(planes: tuple[Plane, Plane], mask: Plane, narrow: float, wide: float) -> list[Plane]:
    """What lies between two widths of blur in each, where the mask is: float32, as they are."""
    weights = [cv2.GaussianBlur(mask, (0, 0), width) + 1e-3 for width in (narrow, wide)]
    found = []
    for plane in planes:
        fine, coarse = (
            cv2.GaussianBlur(plane * mask, (0, 0), width) / weight
            for width, weight in zip((narrow, wide), weights)
        )
        found.append(np.asarray((fine - coarse) * mask, np.float32))
    return found


def _windows(plane: Plane, side: int) -> Plane:
    """Means over windows of `side` pixels, every half window."""
    means = cv2.blur(plane, (side, side), borderType=cv2.BORDER_CONSTANT)
    half = side // 2
    return np.asarray(means[half::half, half::half], np.float32)

"""Compares two pictures that may be copies: aligns them pixel by pixel and compares the texture.

A thumbnail shows the design, and parts of one design look alike. The texture at the scale of single
pixels identifies the part. In a copy it agrees everywhere, also after editing. In two parts it
agrees only where the design prescribes it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.fingerprint import (
    THUMBNAIL_SIDE,
    Grey,
    Plane,
    resized,
    root_sift,
    standard_light,
    unfilled_mask,
)
from trainer.audit.pose import Pose, inverted, is_mirrored, plausible, pose_from_points

COMPARED_SIDE = 224  # square root of the compared area: networks of this field see no more
WINDOWS_PER_SIDE = 8
# Blur widths of three band-passes, pixels. Compression noise is finer, shading is coarser.
BANDS = ((0.7, 1.4), (1.4, 2.8), (2.8, 5.6))
ROUNDING_DEVIATION = 0.3  # grey levels, of a uniform place after rounding to 8 bits
RINGING_SHARE = 0.05  # of the picture's detail: compression rings up to this beside an edge
MIN_WINDOW_SHARE = 0.7  # of a window that both pictures cover
MIN_OVERLAP = 0.2
CLIPPED_LEVELS = (2, 253)
MAX_CLIPPED_SHARE = 0.5  # of the picture: above it the picture is black and white by design
LOW_QUANTILE = 0.1
MAX_STEPS = 30
MAX_POINTS = 400  # key points a picture: a tilted copy may share too few of a fingerprint's 64
CONCLUSIVE_TEXTURE = 0.6  # above any pair with a wrong pose
SHIFTS = ((0, 5), (5, 0), (4, 4), (4, -4))  # pixels, about 5 in four directions
LINEAR_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
CUBIC_WARP = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP

# The limits of certainty (docs/audit.md has the figures). The texture of planted, aligned copies
# reaches 0.5 and more, also after compression to a third; that of different tiles and solar cells
# stays at 0.33 and less. Drawings of a few straight lines reach 0.89 on others of their kind, but
# with few key points and much empty ground. So less content requires more agreement.
MIN_TEXTURE = 0.42  # with much content
MIN_TEXTURE_SPARSE = 0.95  # with hardly any content
FEW_POINTS, MANY_POINTS = 6, 24
MIN_WINDOWS = 8
SPARSE_WINDOWS, DENSE_WINDOWS = 32, 56
DENSE_CREDIT = 0.7  # of the credit for many key points: a design may be dense too
MIN_SHARPNESS = 0.1


@dataclass(frozen=True, slots=True)
class ComparedPicture:
    """A picture prepared for the comparison.

    - `grey`: uint8, (height, width), at most 224 × 224 in area.
    - `valid`: 255 where it has content: neither filled by an editor nor clipped.
    - `levelled`: `grey` under standard light.
    - `points`: float32, (k, 2), key points in pixels; k is at most 400.
    - `descriptors`: uint8, (k, 128), SIFT.
    """

    grey: Grey
    valid: Grey
    levelled: Grey
    points: Plane
    descriptors: Grey


@dataclass(frozen=True, slots=True)
class PixelMatch:
    """How well the texture of two pictures agrees.

    - `texture`: the lower tenth of the window correlations, -1 to 1, mean over three bands.
    - `sharpness`: the share of it, up to 1, that a shift by 5 pixels destroys. The direction that
      destroys least counts: lines lose nothing along themselves.
    - `windows`: the number of windows, of 64, with content.
    """

    texture: float = 0.0
    sharpness: float = 0.0
    windows: float = 0.0

    def certain(self, support: int) -> bool:
        """Whether both must show one part; `support` is the number of coinciding key points."""
        if self.windows < MIN_WINDOWS or self.sharpness < MIN_SHARPNESS:
            return False
        points = (support - FEW_POINTS) / (MANY_POINTS - FEW_POINTS)
        density = (self.windows - SPARSE_WINDOWS) / (DENSE_WINDOWS - SPARSE_WINDOWS)
        content = min(1.0, max(0.0, points, DENSE_CREDIT * min(1.0, density)))
        min_texture = MIN_TEXTURE_SPARSE + (MIN_TEXTURE - MIN_TEXTURE_SPARSE) * content
        return self.texture >= min_texture


NO_MATCH = PixelMatch()


def compared_picture(grey: Grey) -> ComparedPicture:
    """Prepares a grey picture, uint8, (height, width), for the comparison."""
    small = resized(grey, COMPARED_SIDE) if grey.size > COMPARED_SIDE**2 else grey
    valid = unfilled_mask(small)
    low, high = CLIPPED_LEVELS
    clipped = ((small < low) | (small > high)).astype(np.uint8)
    # A single clipped pixel is a highlight; a clipped neighbourhood has no content.
    clipped = np.asarray(cv2.erode(clipped, np.ones((5, 5), np.uint8)), np.uint8)
    clipped = np.asarray(cv2.dilate(clipped, np.ones((7, 7), np.uint8)), np.uint8)
    if clipped.mean() < MAX_CLIPPED_SHARE:
        valid[clipped > 0] = 0
    levelled = standard_light(small, valid)
    finder = cv2.SIFT.create(nfeatures=MAX_POINTS, contrastThreshold=0.01)
    keypoints, descriptors = finder.detectAndCompute(levelled, _inner(valid))
    points = np.array([point.pt for point in keypoints], np.float32).reshape(-1, 2)
    if descriptors is None:
        descriptors = np.empty((0, 128), np.float32)
    return ComparedPicture(small, valid, levelled, points, np.asarray(descriptors, np.uint8))


def match_pixels(first: ComparedPicture, second: ComparedPicture, pose: Pose) -> PixelMatch:
    """Compares the texture of two pictures.

    `pose` maps pixels of the first thumbnail to the second. When the texture does not agree at
    that pose, the pose from the key points is tried too.
    """
    match = _match_at(first, second, _in_pixels(pose, first, second))
    if match.texture >= CONCLUSIVE_TEXTURE:
        return match
    other_pose = _pose_by_points(first, second, mirrored=is_mirrored(pose))
    if other_pose is None:
        return match
    return max(match, _match_at(first, second, other_pose), key=lambda one: one.texture)


def _pose_by_points(
    first: ComparedPicture, second: ComparedPicture, *, mirrored: bool
) -> Pose | None:
    """The pose that most pairs of similar key points agree on, in pixels."""
    products = root_sift(first.descriptors) @ root_sift(second.descriptors, mirrored=mirrored).T
    pose = pose_from_points(first.points, second.points, products, 500)
    return pose if pose is not None and plausible(pose) and is_mirrored(pose) == mirrored else None


def _match_at(first: ComparedPicture, second: ComparedPicture, pose: Pose) -> PixelMatch:
    """Compares the texture at `pose`, in pixels from the first to the second, after refinement."""
    if abs(np.linalg.det(pose[:, :2])) < 1:  # compare on the grid of the coarser picture
        first, second = second, first
        pose = inverted(pose)
    reduction = float(np.sqrt(abs(np.linalg.det(pose[:, :2]))))
    if reduction > 1.15:  # blur before the reduction, else it aliases
        width = 0.5 * float(np.sqrt(reduction**2 - 1))
        grey, levelled = (
            np.asarray(cv2.GaussianBlur(plane, (0, 0), width), np.uint8)
            for plane in (second.grey, second.levelled)
        )
        second = replace(second, grey=grey, levelled=levelled)
    pose = _refined(first, second, pose)
    size = (first.grey.shape[1], first.grey.shape[0])
    aligned = cv2.warpAffine(second.grey.astype(np.float32), pose, size, flags=CUBIC_WARP)
    covered = np.asarray(cv2.warpAffine(_inner(second.valid), pose, size, flags=LINEAR_WARP)) > 254
    mask = (covered & (_inner(first.valid) > 0)).astype(np.float32)
    if mask.mean() < MIN_OVERLAP:
        return NO_MATCH
    return _compared(first.grey.astype(np.float32), np.asarray(aligned, np.float32), mask)


def _inner(valid: Grey) -> Grey:
    """The mask without a border of 2 px, which interpolation mixes with the outside."""
    kernel, border = np.ones((5, 5), np.uint8), cv2.BORDER_CONSTANT
    return np.asarray(cv2.erode(valid, kernel, borderType=border, borderValue=0), np.uint8)


def _in_pixels(pose: Pose, first: ComparedPicture, second: ComparedPicture) -> Pose:
    """`pose` between thumbnails as a pose between the pictures."""

    def scaled(one: ComparedPicture) -> NDArray[np.float64]:
        height, width = one.grey.shape
        across, down = width / THUMBNAIL_SIDE, height / THUMBNAIL_SIDE
        return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])

    whole = np.vstack([pose, [0, 0, 1]])
    return np.asarray((scaled(second) @ whole @ np.linalg.inv(scaled(first)))[:2], np.float64)


def _refined(first: ComparedPicture, second: ComparedPicture, pose: Pose) -> Pose:
    """The pose of maximal correlation; `pose` itself where the search does not converge."""
    one, other = first.levelled.astype(np.float32), second.levelled.astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, MAX_STEPS, 1e-4)
    start, inside = pose.astype(np.float32), _inner(first.valid)
    try:
        _, found = cv2.findTransformECC(one, other, start, cv2.MOTION_AFFINE, criteria, inside, 5)
    except cv2.error:
        return pose
    return np.asarray(found, np.float64)


def _compared(first: Plane, aligned: Plane, mask: Plane) -> PixelMatch:
    side = max(12, round(np.sqrt(first.size) / WINDOWS_PER_SIDE))
    share = _windows(mask, side)
    whole = share > MIN_WINDOW_SHARE
    if not whole.any():
        return NO_MATCH
    lows, counts, sharps = [], [], []
    for narrow, wide in BANDS:
        one, other = _bands((first, aligned), mask, narrow, wide)
        energies = [_windows(band * band, side)[whole] / share[whole] for band in (one, other)]
        # Only windows count where either picture exceeds rounding and ringing.
        floors = [
            max(ROUNDING_DEVIATION**2, RINGING_SHARE**2 * float(energy.mean()))
            for energy in energies
        ]
        above = [np.maximum(energy, floor) for energy, floor in zip(energies, floors)]
        counted = (above[0] > floors[0]) | (above[1] > floors[1])
        if not counted.any():
            return NO_MATCH
        size = share[whole] * np.sqrt(above[0] * above[1])
        correlations = (_windows(one * other, side)[whole] / size)[counted]
        lows.append(float(np.quantile(correlations, LOW_QUANTILE)))
        counts.append(np.count_nonzero(counted) / 4)  # windows overlap by half, both ways
        moved = [
            float(
                (_windows(one * np.roll(other, step, (0, 1)), side)[whole] / size)[counted].mean()
            )
            for step in SHIFTS
        ]
        sharps.append(1 - max(moved) / max(0.01, float(correlations.mean())))
    # The coarsest band is about as wide as the shift, so it is left out of the sharpness.
    return PixelMatch(float(np.mean(lows)), float(min(sharps[:2])), float(max(counts)))


def _bands(planes: tuple[Plane, Plane], mask: Plane, narrow: float, wide: float) -> list[Plane]:
    """The band-pass between two blur widths of each plane, inside the mask: float32."""
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
    """Means over windows of `side` pixels, at steps of half a window."""
    means = cv2.blur(plane, (side, side), borderType=cv2.BORDER_CONSTANT)
    half = side // 2
    return np.asarray(means[half::half, half::half], np.float32)

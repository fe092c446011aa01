"""Compares two pictures that may be copies: aligns them pixel by pixel and compares the texture.

A thumbnail shows the design, and parts of one design look alike. The texture at the scale of single
pixels identifies the part. In a copy it agrees everywhere, also after editing. In two parts it
agrees only where the design prescribes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

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
from trainer.audit.pose import Pose, inverted, is_mirrored, plausible, pose_from_points, rescaled

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
HALF_STEPS, FULL_STEPS = 15, 15
HALF_BAND = (0.7, 1.4)  # pixels of half the side: the middle band
# Aligned copies reach 0.27 and more; three quarters of other solar cells stay below 0.25.
MIN_HALF_AGREEMENT = 0.25
MIN_MOVE = 1.0  # pixels by which another pose must move a corner to be worth a comparison
MAX_POINTS = 400  # key points a picture: a tilted copy may share too few of a fingerprint's 64
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
class HalfPicture:
    """A compared picture at half the side, for the first check; `inner` is as of the picture."""

    grey: Plane
    levelled: Plane
    inner: Grey


@dataclass(frozen=True)
class ComparedPicture:
    """A picture prepared for the comparison. What only some comparisons need is made when asked.

    - `grey`: uint8, (height, width), at most 224 × 224 in area.
    - `valid`: 255 where it has content: neither filled by an editor nor clipped.
    - `levelled`: `grey` under standard light.
    """

    grey: Grey
    valid: Grey
    levelled: Grey

    @cached_property
    def inner(self) -> Grey:
        """`valid` without a border of 2 px, which interpolation mixes with the outside."""
        return _inner(self.valid)

    @cached_property
    def half(self) -> "HalfPicture":
        """The picture at half the side."""
        size = (self.grey.shape[1] // 2, self.grey.shape[0] // 2)

        def half(plane: Grey, how: int) -> Grey:
            even = plane[: 2 * size[1], : 2 * size[0]]  # exactly half: poses then convert exactly
            return np.asarray(cv2.resize(even, size, interpolation=how), np.uint8)

        return HalfPicture(
            half(self.grey, cv2.INTER_AREA).astype(np.float32),
            half(self.levelled, cv2.INTER_AREA).astype(np.float32),
            half(self.inner, cv2.INTER_NEAREST),
        )

    @cached_property
    def key_points(self) -> tuple[Plane, Grey]:
        """Places, float32, (k, 2), in pixels, and SIFT, uint8, (k, 128); k is at most 400."""
        finder = cv2.SIFT.create(nfeatures=MAX_POINTS, contrastThreshold=0.01)
        keypoints, descriptors = finder.detectAndCompute(self.levelled, self.inner)
        points = np.array([point.pt for point in keypoints], np.float32).reshape(-1, 2)
        if descriptors is None:
            descriptors = np.empty((0, 128), np.float32)
        return points, np.asarray(descriptors, np.uint8)


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
    return ComparedPicture(small, valid, standard_light(small, valid))


def match_pixels(
    first: ComparedPicture,
    second: ComparedPicture,
    poses: Sequence[Pose],
    support: int,
    *,
    by_points: bool,
) -> PixelMatch:
    """Compares the texture of two pictures, at each pose until they must show one part.

    - `poses` map pixels of the first thumbnail to the second, the likeliest first.
    - `support`: the number of key points that coincide.
    - `by_points`: also tries the pose from up to 400 key points of each picture. Finding them
      takes longer than the comparison itself.
    """
    best, tried = NO_MATCH, list[Pose]()
    for pose in _poses(first, second, poses, by_points=by_points):
        if any(_moved(pose, other, first.grey.shape) < MIN_MOVE for other in tried):
            continue
        tried.append(pose)
        best = max(best, _match_at(first, second, pose), key=lambda one: one.texture)
        if best.certain(support):
            break
    return best


def _poses(
    first: ComparedPicture, second: ComparedPicture, poses: Sequence[Pose], *, by_points: bool
) -> Iterator[Pose]:
    """The poses to try, in pixels of the pictures."""
    for pose in poses:
        yield _in_pixels(pose, first, second)
    if by_points and poses:
        found = _pose_by_points(first, second, mirrored=is_mirrored(poses[0]))
        if found is not None:
            yield found


def _pose_by_points(
    first: ComparedPicture, second: ComparedPicture, *, mirrored: bool
) -> Pose | None:
    """The pose that most pairs of similar key points agree on, in pixels."""
    (points, descriptors), (others, other_descriptors) = first.key_points, second.key_points
    products = root_sift(descriptors) @ root_sift(other_descriptors, mirrored=mirrored).T
    pose = pose_from_points(points, others, products, 500)
    return pose if pose is not None and plausible(pose) and is_mirrored(pose) == mirrored else None


def _match_at(first: ComparedPicture, second: ComparedPicture, pose: Pose) -> PixelMatch:
    """Compares the texture at `pose`, in pixels from the first to the second, after refinement."""
    if abs(np.linalg.det(pose[:, :2])) < 1:  # compare on the grid of the coarser picture
        first, second = second, first
        pose = inverted(pose)
    one, other = first.half, second.half
    half = _refined(one.levelled, one.inner, other.levelled, rescaled(pose, 0.5), HALF_STEPS)
    if _half_agreement(first, second, half) < MIN_HALF_AGREEMENT:
        return NO_MATCH
    pose = rescaled(half, 2.0)
    grey, levelled = second.grey, second.levelled
    reduction = float(np.sqrt(abs(np.linalg.det(pose[:, :2]))))
    if reduction > 1.15:  # blur before the reduction, else it aliases
        width = 0.5 * float(np.sqrt(reduction**2 - 1))
        grey, levelled = (
            np.asarray(cv2.GaussianBlur(plane, (0, 0), width), np.uint8)
            for plane in (grey, levelled)
        )
    pose = _refined(
        first.levelled.astype(np.float32),
        first.inner,
        levelled.astype(np.float32),
        pose,
        FULL_STEPS,
    )
    size = (first.grey.shape[1], first.grey.shape[0])
    aligned = cv2.warpAffine(grey.astype(np.float32), pose, size, flags=CUBIC_WARP)
    mask = _common(first.inner, second.inner, pose)
    if mask.mean() < MIN_OVERLAP:
        return NO_MATCH
    return _compared(first.grey.astype(np.float32), np.asarray(aligned, np.float32), mask)


def _half_agreement(first: ComparedPicture, second: ComparedPicture, pose: Pose) -> float:
    """The texture of one band at half the side: the lower tenth of the windows, -1 to 1.

    A cheap check that rejects most pairs. 1 where there is too little content to reject.
    """
    size = (first.half.grey.shape[1], first.half.grey.shape[0])
    mask = _common(first.half.inner, second.half.inner, pose)
    if mask.mean() < MIN_OVERLAP:
        return 0.0
    aligned = cv2.warpAffine(second.half.grey, pose, size, flags=LINEAR_WARP)
    windows = _window_shares(mask)
    if not windows.whole.any():
        return 0.0
    both = (first.half.grey, np.asarray(aligned, np.float32))
    band = _compare_band(_bands(both, mask, *HALF_BAND), windows)
    return 1.0 if band is None else float(np.quantile(band.correlations, LOW_QUANTILE))


def _common(inner: Grey, other: Grey, pose: Pose) -> Plane:
    """1 where both pictures have content, on the grid of the first."""
    size = (inner.shape[1], inner.shape[0])
    covered = np.asarray(cv2.warpAffine(other, pose, size, flags=LINEAR_WARP)) > 254
    return (covered & (inner > 0)).astype(np.float32)


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


def _refined(one: Plane, inner: Grey, other: Plane, pose: Pose, steps: int) -> Pose:
    """The pose of maximal correlation; `pose` itself where the search does not converge.

    `inner` is 0 where `one` has no content.
    """
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 1e-4)
    start = pose.astype(np.float32)
    try:
        _, found = cv2.findTransformECC(one, other, start, cv2.MOTION_AFFINE, criteria, inner, 5)
    except cv2.error:
        return pose
    return np.asarray(found, np.float64)


def _moved(pose: Pose, other: Pose, shape: tuple[int, ...]) -> float:
    """The largest distance, in pixels, between where two poses put a corner of the picture."""
    height, width = shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    return float(np.abs(corners @ (pose - other).T).max())


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of `side` pixels: the share that both pictures cover, and where it is enough."""

    side: int
    share: Plane
    whole: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Band:
    """Two pictures compared in one band.

    - `size`: the product of both spreads, of each whole window.
    - `counted`: the windows with content; `correlations` are theirs.
    """

    one: Plane
    other: Plane
    size: Plane
    counted: NDArray[np.bool_]
    correlations: Plane


def _window_shares(mask: Plane) -> _Windows:
    side = max(12, round(np.sqrt(mask.size) / WINDOWS_PER_SIDE))
    share = _windows(mask, side)
    return _Windows(side, share, share > MIN_WINDOW_SHARE)


def _compared(first: Plane, aligned: Plane, mask: Plane) -> PixelMatch:
    windows = _window_shares(mask)
    if not windows.whole.any():
        return NO_MATCH
    lows, counts, bands = [], [], []
    for narrow, wide in BANDS:
        band = _compare_band(_bands((first, aligned), mask, narrow, wide), windows)
        if band is None:
            return NO_MATCH
        lows.append(float(np.quantile(band.correlations, LOW_QUANTILE)))
        counts.append(np.count_nonzero(band.counted) / 4)  # windows overlap by half, both ways
        bands.append(band)
    texture = float(np.mean(lows))
    # The coarsest band is about as wide as the shift, so it is left out of the sharpness.
    sharpness = (
        min(_sharpness(band, windows) for band in bands[:2]) if texture >= MIN_TEXTURE else 0.0
    )
    return PixelMatch(texture, sharpness, float(max(counts)))


def _compare_band(planes: tuple[Plane, Plane], windows: _Windows) -> _Band | None:
    """The correlations of the windows with content; None when no window has any."""
    one, other = planes
    side, share, whole = windows.side, windows.share, windows.whole
    energies = [_windows(band * band, side)[whole] / share[whole] for band in (one, other)]
    # Only windows count where either picture exceeds rounding and ringing.
    floors = [
        max(ROUNDING_DEVIATION**2, RINGING_SHARE**2 * float(energy.mean())) for energy in energies
    ]
    above = [np.maximum(energy, floor) for energy, floor in zip(energies, floors)]
    counted = (above[0] > floors[0]) | (above[1] > floors[1])
    if not counted.any():
        return None
    size = share[whole] * np.sqrt(above[0] * above[1])
    return _Band(one, other, size, counted, (_windows(one * other, side)[whole] / size)[counted])


def _sharpness(band: _Band, windows: _Windows) -> float:
    """The share of the agreement that the least destructive shift destroys."""
    moved = []
    for step in SHIFTS:
        shifted = _windows(band.one * np.roll(band.other, step, (0, 1)), windows.side)
        moved.append(float((shifted[windows.whole] / band.size)[band.counted].mean()))
    return float(1 - max(moved) / max(0.01, float(band.correlations.mean())))


def _bands(
    planes: tuple[Plane, Plane], mask: Plane, narrow: float, wide: float
) -> tuple[Plane, Plane]:
    """The band-pass between two blur widths of each plane, inside the mask: float32."""
    weights = [cv2.GaussianBlur(mask, (0, 0), width) + 1e-3 for width in (narrow, wide)]

    def band(plane: Plane) -> Plane:
        fine, coarse = (
            cv2.GaussianBlur(plane * mask, (0, 0), width) / weight
            for width, weight in zip((narrow, wide), weights)
        )
        return np.asarray((fine - coarse) * mask, np.float32)

    return band(planes[0]), band(planes[1])


def _windows(plane: Plane, side: int) -> Plane:
    """Means over windows of `side` pixels, at steps of half a window."""
    means = cv2.blur(plane, (side, side), borderType=cv2.BORDER_CONSTANT)
    half = side // 2
    return np.asarray(means[half::half, half::half], np.float32)

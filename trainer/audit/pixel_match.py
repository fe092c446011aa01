"""Compares two pictures that may be copies: aligns them pixel by pixel and compares the texture.

A thumbnail shows the design, and parts of one design look alike. The texture at the scale of single
pixels identifies the part. In a copy it agrees everywhere, also after editing. In two parts it
agrees only where the design prescribes it.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.compared_picture import ComparedPicture
from trainer.audit.fingerprint import THUMBNAIL_SIDE, Grey, Plane, root_sift
from trainer.audit.pose import Pose, inverted, is_mirrored, plausible, pose_from_points, rescaled
from trainer.audit.window_texture import NO_MATCH, PixelMatch, compare_windows, low_correlation

MIN_OVERLAP = 0.2
HALF_STEPS, FULL_STEPS = 8, 10  # copies converge sooner; other parts use all of them
HALF_BAND = (0.7, 1.4)  # pixels of half the side: the middle band
# Aligned copies reach 0.27 and more; three quarters of other solar cells stay below 0.25.
MIN_HALF_AGREEMENT = 0.25
MIN_MOVE = 1.0  # pixels by which another pose must move a corner to be worth a comparison
LINEAR_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
CUBIC_WARP = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP


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
      takes longer than the comparison itself. Without it only the best of `poses` is tried.
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
    """The poses to try, in pixels of the pictures, the best first."""
    known = [_in_pixels(pose, first, second) for pose in poses]
    if len(known) > 1:
        known.sort(key=lambda pose: -_half_agreement(first, second, rescaled(pose, 0.5)))
    yield from known if by_points else known[:1]
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
    one, other, start = first.half, second.half, rescaled(pose, 0.5)
    half = _refined(one.levelled, one.inner, other.levelled, start, HALF_STEPS)
    if _half_agreement(first, second, half) < MIN_HALF_AGREEMENT:
        half = start  # the search may leave a good pose, where one picture is clipped
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
    return compare_windows(first.grey.astype(np.float32), np.asarray(aligned, np.float32), mask)


def _half_agreement(first: ComparedPicture, second: ComparedPicture, pose: Pose) -> float:
    """The texture of one band at half the side, -1 to 1: a cheap check that rejects most pairs."""
    one, other = first.half, second.half
    mask = _common(one.inner, other.inner, pose)
    if mask.mean() < MIN_OVERLAP:
        return 0.0
    size = (one.grey.shape[1], one.grey.shape[0])
    aligned = np.asarray(cv2.warpAffine(other.grey, pose, size, flags=LINEAR_WARP), np.float32)
    return low_correlation(one.grey, aligned, mask, HALF_BAND)


def _common(inner: Grey, other: Grey, pose: Pose) -> Plane:
    """1 where both pictures have content, on the grid of the first."""
    size = (inner.shape[1], inner.shape[0])
    covered = np.asarray(cv2.warpAffine(other, pose, size, flags=LINEAR_WARP)) > 254
    return (covered & (inner > 0)).astype(np.float32)


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

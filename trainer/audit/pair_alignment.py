"""Aligns one pair of pictures from their fingerprints: first at half size, then at full size."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.alignment import (
    Alignment,
    CoarseMatch,
    SharedStructure,
    align_coarsely,
    align_finely,
    compare_at,
    half_size,
)
from trainer.audit.candidates import Candidate, Pair
from trainer.audit.fingerprint import THUMBNAIL_SIDE, Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pose import (
    MIN_DESCRIPTOR_PRODUCT,
    Pose,
    is_mirrored,
    plausible,
    pose_from_points,
)

MAX_POINT_DISTANCE = 2.0  # pixels of the thumbnail
# A nearly symmetric part also agrees with its mirror image, but below these limits.
CONCLUSIVE_AGREEMENT = 0.95
KEPT_POSES = 2  # poses of one pair that are aligned at full size
MAX_KNOWN = 4
MIN_FITTED_POINTS = 6


def coarse_matches(
    store: FingerprintStore, pair: Pair, candidate: Candidate, common: SharedStructure
) -> list[CoarseMatch]:
    """The best poses of a pair at half size, the best first; at most two.

    Start poses are tried by cost: known poses first, then those by key points.
    """
    first, second = (half_size(store.plane(row)) for row in pair)
    aspects = _aspects(store, pair)
    found: list[CoarseMatch] = []
    for start in _starts(store, pair, candidate):
        match = align_coarsely(first, second, start, common, aspects)
        if match is None:
            continue
        found.append(match)
        if match.agreement >= CONCLUSIVE_AGREEMENT:
            break
    return sorted(found, key=lambda match: -match.agreement)[:KEPT_POSES]


def fine_match(
    store: FingerprintStore, pair: Pair, starts: Sequence[Pose], common: SharedStructure
) -> Alignment | None:
    """The best alignment at full size from the poses `starts`; the first copy ends the search."""
    first, second = (store.plane(row) for row in pair)
    aspects = _aspects(store, pair)
    best: Alignment | None = None
    for start in starts:
        match = align_finely(first, second, start, common, aspects)
        if match is None:
            continue
        match = replace(match, support=_support(store, pair, match.pose))
        if best is None or (match.copy, match.residual) > (best.copy, best.residual):
            best = match
        if best.copy:
            break
    return best


def match_without(
    store: FingerprintStore, pair: Pair, match: Alignment, common: SharedStructure
) -> Alignment:
    """The same pose compared again, without the structure `common` of a family."""
    first, second = (store.plane(row) for row in pair)
    return replace(compare_at(first, second, match.pose, common), support=match.support)


def _starts(store: FingerprintStore, pair: Pair, candidate: Candidate) -> Iterator[Pose]:
    yield from candidate.poses[:MAX_KNOWN]
    for mirrored in candidate.orientations:
        pose = _pose_by_points(store, pair, mirrored=mirrored)
        if pose is not None:
            yield pose


def _pose_by_points(store: FingerprintStore, pair: Pair, *, mirrored: bool) -> Pose | None:
    """The pose that most pairs of similar key points agree on (RANSAC)."""
    low, high = pair
    products = store.descriptors(low) @ store.descriptors(high, mirrored=mirrored).T
    pose = pose_from_points(_pixels(store, low), _pixels(store, high), products, 300)
    if pose is None or is_mirrored(pose) != mirrored:
        return None
    return pose if plausible(pose, _aspects(store, pair)) else None


def _pixels(store: FingerprintStore, row: int) -> Plane:
    """The key points of a row, in pixels of the thumbnail: float32, (k, 2)."""
    return store.points(row) * THUMBNAIL_SIDE - np.float32(0.5)


def _aspects(store: FingerprintStore, pair: Pair) -> tuple[float, float]:
    low, high = store.aspects[list(pair)].tolist()
    return low, high


def pose_from_support(store: FingerprintStore, pair: Pair, pose: Pose) -> Pose | None:
    """The pose fitted to the key points that coincide at `pose`; None with too few of them.

    Correlation aligns the blurred thumbnail of a tilted copy to one or two pixels; key points are
    more exact.
    """
    coincide = _coinciding(store, pair, pose)
    rows, columns = np.nonzero(coincide)
    if min(len(set(rows.tolist())), len(set(columns.tolist()))) < MIN_FITTED_POINTS:
        return None
    low, high = pair
    fitted, _ = cv2.estimateAffine2D(
        _pixels(store, low)[rows], _pixels(store, high)[columns], ransacReprojThreshold=1.0
    )
    if fitted is None:
        return None
    found = np.asarray(fitted, np.float64)
    return found if plausible(found, _aspects(store, pair)) else None


def _support(store: FingerprintStore, pair: Pair, pose: Pose) -> int:
    """The number of key points that coincide with a similar key point of the other picture."""
    coincide = _coinciding(store, pair, pose)
    return int(min(coincide.any(axis=1).sum(), coincide.any(axis=0).sum()))


def _coinciding(store: FingerprintStore, pair: Pair, pose: Pose) -> NDArray[np.bool_]:
    """Which key points of both pictures coincide at `pose` and are similar: (k, m)."""
    low, high = pair
    mapped = _pixels(store, low) @ pose[:, :2].T + pose[:, 2]
    offsets = mapped[:, None] - _pixels(store, high)[None]
    near = np.hypot(offsets[..., 0], offsets[..., 1]) < MAX_POINT_DISTANCE
    products = store.descriptors(low) @ store.descriptors(high, mirrored=is_mirrored(pose)).T
    return np.asarray(near & (products > MIN_DESCRIPTOR_PRODUCT))

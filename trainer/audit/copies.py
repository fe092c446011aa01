"""Finds copies: aligns candidate pairs, then compares the aligned pairs pixel by pixel.

The store has one row for each set of pixel-identical pictures, so equal pictures need no search.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np

from trainer.audit.alignment import (
    MIN_RESIDUAL,
    Alignment,
    SharedStructure,
    align,
    shared_structure,
)
from trainer.audit.candidates import Candidates, Pair, candidates
from trainer.audit.fingerprint import THUMBNAIL_SIDE, Plane
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pose import (
    MIN_DESCRIPTOR_PRODUCT,
    Pose,
    is_mirrored,
    plausible,
    pose_from_points,
)
from trainer.audit.second_pass import MIN_RESIDUAL_FAINT, ReadPicture, compare_pixels

Progress = Callable[[str, int, int], None]

MAX_POINT_DISTANCE = 2.0  # pixels of the thumbnail
CONCLUSIVE_RESIDUAL = 0.93
MAX_COPIES = 24  # a larger group of look-alikes is one design: its pairs are compared again
FAMILY_COMPONENTS = 32
CHUNK_PAIRS = 64


def find_copies(
    store: FingerprintStore, read: ReadPicture, workers: int, progress: Progress
) -> dict[Pair, Alignment]:
    """All pairs of rows (low, high) that are copies or look-alikes, with their alignment.

    `read` reads the picture of a row again.
    """
    if len(store) < 2:
        return {}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # each thread aligns one pair: OpenCV's own threads would only compete
    try:
        return _found(store, read, workers, progress)
    finally:
        cv2.setNumThreads(threads)


def _found(
    store: FingerprintStore, read: ReadPicture, workers: int, progress: Progress
) -> dict[Pair, Alignment]:
    n = len(store)
    whole = shared_structure(store, np.arange(n))
    todo = candidates(store, whole, lambda done, of: progress("searching copies", done, of))
    aligned = _aligned(store, todo, whole, workers, lambda *at: progress("comparing pairs", *at))
    certain = compare_pixels(aligned, read, workers, lambda *at: progress("looking closer", *at))
    alike = {pair: match for pair, match in aligned.items() if match.copy and pair not in certain}
    # Parts of one design share structure that the set as a whole does not have. So the pairs of
    # such a family are compared again, without the structure that the family shares.
    for family in _families(n, alike):
        members = set(family)
        inside = {pair: match for pair, match in alike.items() if pair[0] in members}
        common = shared_structure(store, np.array(family), FAMILY_COMPONENTS)
        again: Candidates = {pair: [match.pose] for pair, match in inside.items()}
        kept = _aligned(
            store, again, common, workers, lambda *at: progress("comparing look-alikes", *at)
        )
        for pair in inside:
            # Key points alone do not count here: they support every look-alike of one design.
            if pair in kept and kept[pair].copy and kept[pair].residual >= MIN_RESIDUAL:
                alike[pair] = kept[pair]
            else:
                del alike[pair]
    return alike | certain


def linked_groups(n: int, pairs: Iterable[Pair]) -> list[list[int]]:
    """Groups of rows linked by pairs, directly or through others; a single row is a group too."""
    parent = list(range(n))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for low, high in pairs:
        parent[root(high)] = root(low)
    found: dict[int, list[int]] = defaultdict(list)
    for row in range(n):
        found[root(row)].append(row)
    return list(found.values())


def _families(n: int, found: dict[Pair, Alignment]) -> list[list[int]]:
    return [group for group in linked_groups(n, found) if len(group) > MAX_COPIES]


def _aligned(
    store: FingerprintStore,
    todo: Candidates,
    common: SharedStructure,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, Alignment]:
    """The candidates that agree well enough for the pixel comparison, with their alignment."""
    pairs = sorted(todo)
    chunks = [pairs[at : at + CHUNK_PAIRS] for at in range(0, len(pairs), CHUNK_PAIRS)]
    found: dict[Pair, Alignment] = {}

    def work(chunk: Sequence[Pair]) -> list[tuple[Pair, Alignment]]:
        matches = []
        for pair in chunk:
            match = _best_match(store, pair, todo[pair], common)
            if match is not None and (match.copy or match.residual >= MIN_RESIDUAL_FAINT):
                matches.append((pair, match))
        return matches

    with ThreadPoolExecutor(workers, "audit") as pool:
        for at, matches in enumerate(pool.map(work, chunks)):
            found.update(matches)
            progress(min(len(pairs), (at + 1) * CHUNK_PAIRS), len(pairs))
    return found


def _best_match(
    store: FingerprintStore, pair: Pair, known: list[Pose], common: SharedStructure
) -> Alignment | None:
    """The best alignment. Start poses are tried by cost: known poses, key points, mirrored ones."""
    first, second = (store.plane(row) for row in pair)
    aspects = _aspects(store, pair)
    best: Alignment | None = None
    for start in _starts(store, pair, known):
        match = align(first, second, start, common, aspects)
        if match is None:
            continue
        match = replace(match, support=_support(store, pair, match.pose))
        if best is None or (match.copy, match.residual) > (best.copy, best.residual):
            best = match
        # A nearly symmetric part also agrees with its mirror image, but below this limit.
        if best.copy and best.residual >= CONCLUSIVE_RESIDUAL:
            break
    return best


def _starts(store: FingerprintStore, pair: Pair, known: list[Pose]) -> Iterator[Pose]:
    yield from known[:4]
    for mirrored in (False, True):
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


def _support(store: FingerprintStore, pair: Pair, pose: Pose) -> int:
    """The number of key points that coincide with a similar key point of the other picture."""
    low, high = pair
    if not store.counts[low] or not store.counts[high]:
        return 0
    mapped = _pixels(store, low) @ pose[:, :2].T + pose[:, 2]
    offsets = mapped[:, None] - _pixels(store, high)[None]
    near = np.hypot(offsets[..., 0], offsets[..., 1]) < MAX_POINT_DISTANCE
    products = store.descriptors(low) @ store.descriptors(high, mirrored=is_mirrored(pose)).T
    coincide = near & (products > MIN_DESCRIPTOR_PRODUCT)
    return int(min(coincide.any(axis=1).sum(), coincide.any(axis=0).sum()))

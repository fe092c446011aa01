"""Which pictures are copies of each other: candidates laid on each other, and looked at closer.

Pixels that are equal need no search; what is left is compared by one picture of each such set.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np

from trainer.audit.alignment import LEAST_OWN, Alignment, SharedStructure, align, shared_structure
from trainer.audit.candidates import Candidates, Pair, candidates
from trainer.audit.fingerprint import THUMBNAIL_SIDE
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pose import Pose, plausible
from trainer.audit.second_pass import FAINT, ReadPicture, compare_pixels

Progress = Callable[[str, int, int], None]

LIKE_POINTS = 0.8  # product of two RootSIFT descriptors: the same corner under another light
NEAR = 2.0  # pixels of the thumbnail
SURELY_LAID = 0.93
FAMILY = 24  # more alike than this are no copies but one design: they are compared once more
FAMILY_COMPONENTS = 32
CHUNK = 64


def find_copies(
    store: FingerprintStore, read: ReadPicture, workers: int, progress: Progress
) -> dict[Pair, Alignment]:
    """All pairs of rows that are copies or look like it, as (low, high), with how they lie on each
    other; `read` gives the picture of a row again."""
    if len(store) < 2:
        return {}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a pair a thread, as in reading
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
    laid = _verified(store, todo, whole, workers, lambda *at: progress("comparing pairs", *at))
    sure = compare_pixels(laid, read, workers, lambda *at: progress("looking closer", *at))
    alike = {pair: match for pair, match in laid.items() if match.copy and pair not in sure}
    # Parts of one design agree in what the set as a whole does not have in common. Which of them
    # are still alike without what their family has in common?
    for family in _families(n, alike):
        members = set(family)
        inside = {pair: match for pair, match in alike.items() if pair[0] in members}
        common = shared_structure(store, np.array(family), FAMILY_COMPONENTS)
        again: Candidates = {pair: [match.pose] for pair, match in inside.items()}
        kept = _verified(
            store, again, common, workers, lambda *at: progress("comparing look-alikes", *at)
        )
        for pair in inside:
            # Strictly: what bears a soft copy elsewhere bears every look-alike here.
            if pair in kept and kept[pair].copy and kept[pair].own >= LEAST_OWN:
                alike[pair] = kept[pair]
            else:
                del alike[pair]
    return alike | sure


def linked_groups(n: int, pairs: Iterable[Pair]) -> list[list[int]]:
    """What is linked by pairs, directly or through others; single rows are groups too."""
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
    return [group for group in linked_groups(n, found) if len(group) > FAMILY]


def _verified(
    store: FingerprintStore,
    todo: Candidates,
    common: SharedStructure,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, Alignment]:
    """Those of the candidates that agree well enough to be worth a closer look."""
    pairs = sorted(todo)
    chunks = [pairs[at : at + CHUNK] for at in range(0, len(pairs), CHUNK)]
    found: dict[Pair, Alignment] = {}

    def work(chunk: Sequence[Pair]) -> list[tuple[Pair, Alignment]]:
        matches = []
        for pair in chunk:
            match = _best_match(store, pair, todo[pair], common)
            if match is not None and (match.copy or match.own >= FAINT):
                matches.append((pair, match))
        return matches

    with ThreadPoolExecutor(workers, "audit") as pool:
        for at, matches in enumerate(pool.map(work, chunks)):
            found.update(matches)
            progress(min(len(pairs), (at + 1) * CHUNK), len(pairs))
    return found


def _best_match(
    store: FingerprintStore, pair: Pair, known: list[Pose], common: SharedStructure
) -> Alignment | None:
    """In order of cost: known poses, key points, key points mirrored."""
    first, second = (store.plane(row) for row in pair)
    aspects = _aspects(store, pair)
    best: Alignment | None = None
    for start in _starts(store, pair, known):
        match = align(first, second, start, common, aspects)
        if match is None:
            continue
        match = replace(match, support=_support(store, pair, match.pose))
        if best is None or (match.copy, match.own) > (best.copy, best.own):
            best = match
        # A part that is nearly its own mirror image agrees well that way too, but not so well.
        if best.copy and best.own >= SURELY_LAID:
            break
    return best


def _starts(store: FingerprintStore, pair: Pair, known: list[Pose]) -> Iterator[Pose]:
    yield from known[:4]
    for mirrored in (False, True):
        pose = _by_points(store, pair, mirrored)
        if pose is not None:
            yield pose


def _by_points(store: FingerprintStore, pair: Pair, mirrored: bool) -> Pose | None:
    """The pose that most of the key points that look alike agree on (RANSAC)."""
    low, high = pair
    if min(store.counts[low], store.counts[high]) < 4:
        return None
    alike = store.descriptors(low) @ store.descriptors(high, mirrored).T
    forth, back = alike.argmax(axis=1), alike.argmax(axis=0)
    rows = np.flatnonzero(
        (back[forth] == np.arange(len(forth))) & (alike.max(axis=1) > LIKE_POINTS)
    )
    if len(rows) < 4:
        return None
    source = store.points(low)[rows] * THUMBNAIL_SIDE - 0.5
    target = store.points(high)[forth[rows]] * THUMBNAIL_SIDE - 0.5
    estimate, _ = cv2.estimateAffine2D(source, target, ransacReprojThreshold=3.0, maxIters=300)
    if estimate is None:
        return None
    pose: Pose = np.asarray(estimate, np.float64)
    flipped = bool(np.linalg.det(pose[:, :2]) < 0)
    return pose if plausible(pose, _aspects(store, pair)) and flipped == mirrored else None


def _aspects(store: FingerprintStore, pair: Pair) -> tuple[float, float]:
    low, high = store.aspects[list(pair)].tolist()
    return low, high


def _support(store: FingerprintStore, pair: Pair, pose: Pose) -> int:
    """How many key points of the first lie, in the second, on one that looks alike."""
    low, high = pair
    if not store.counts[low] or not store.counts[high]:
        return 0
    mirrored = bool(np.linalg.det(pose[:, :2]) < 0)
    there = (store.points(low) * THUMBNAIL_SIDE - 0.5) @ pose[:, :2].T + pose[:, 2]
    away = there[:, None] - (store.points(high) * THUMBNAIL_SIDE - 0.5)[None]
    alike = store.descriptors(low) @ store.descriptors(high, mirrored).T
    on = (np.hypot(away[..., 0], away[..., 1]) < NEAR) & (alike > LIKE_POINTS)
    return int(min(on.any(axis=1).sum(), on.any(axis=0).sum()))

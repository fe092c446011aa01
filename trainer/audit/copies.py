"""Which pictures are copies of each other: candidates laid on each other, and looked at closer.

Pixels that are equal need no search; what is left is compared by one picture of each such set.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from trainer.audit.alignment import LEAST_OWN, Common, Match, align, common_of, compared
from trainer.audit.candidates import Candidates, Pair, candidates
from trainer.audit.chunks import in_chunks
from trainer.audit.pointpair import PointPair
from trainer.audit.pose import Pose
from trainer.audit.reread import FAINT, Read, looked_closer
from trainer.audit.sketch import THUMB
from trainer.audit.store import Store

Progress = Callable[[str, int, int], None]

SURELY_LAID = 0.93
SAME_START = 1.5  # pixels of the thumbnail: nearer than this, starts end at one place
CORNERS = np.array([[0, THUMB - 1, 0, THUMB - 1], [0, 0, THUMB - 1, THUMB - 1], [1, 1, 1, 1]])
FAMILY = 24  # more alike than this are no copies but one design: they are compared once more
FAMILY_COMPONENTS = 32


def find_copies(store: Store, read: Read, workers: int, progress: Progress) -> dict[Pair, Match]:
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


def _found(store: Store, read: Read, workers: int, progress: Progress) -> dict[Pair, Match]:
    n = len(store)
    whole = common_of(store, np.arange(n))
    todo = candidates(store, whole, lambda done, of: progress("searching copies", done, of))
    laid = _verified(store, todo, whole, workers, lambda *at: progress("comparing pairs", *at))
    sure = looked_closer(laid, read, workers, lambda *at: progress("looking closer", *at))
    alike = {pair: match for pair, match in laid.items() if match.copy and pair not in sure}
    # Parts of one design agree in what the set as a whole does not have in common. Which of them
    # are still alike without what their family has in common?
    for family in _families(n, alike):
        members = set(family)
        inside = {pair: match for pair, match in alike.items() if pair[0] in members}
        kept = _own_agree(
            store, inside, family, workers, lambda *at: progress("comparing look-alikes", *at)
        )
        alike = {pair: match for pair, match in alike.items() if pair not in inside} | kept
    return alike | sure


def groups_of(n: int, pairs: Iterable[Pair]) -> list[list[int]]:
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


def _families(n: int, found: dict[Pair, Match]) -> list[list[int]]:
    return [group for group in groups_of(n, found) if len(group) > FAMILY]


def _own_agree(
    store: Store,
    inside: dict[Pair, Match],
    family: list[int],
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, Match]:
    """Those that are still alike without what their family has in common."""
    common = common_of(store, np.array(family), FAMILY_COMPONENTS)

    def work(pair: Pair) -> Match | None:
        first, second = (store.plane(row) for row in pair)
        match = compared(first, second, inside[pair].pose, common)
        match = replace(match, support=inside[pair].support)
        # Strictly: what bears a soft copy elsewhere bears every look-alike here.
        return match if match.copy and match.own >= LEAST_OWN else None

    return in_chunks(sorted(inside), work, workers, progress)


def _verified(
    store: Store,
    todo: Candidates,
    common: Common,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, Match]:
    """Those of the candidates that agree well enough to be worth a closer look."""

    def work(pair: Pair) -> Match | None:
        match = _best_match(store, pair, todo[pair], common)
        return match if match is not None and (match.copy or match.own >= FAINT) else None

    return in_chunks(sorted(todo), work, workers, progress)


def _best_match(store: Store, pair: Pair, known: list[Pose], common: Common) -> Match | None:
    """From what is cheap to what is dear: known poses, key points, key points mirrored."""
    first, second = (store.plane(row) for row in pair)
    points = PointPair(store, *pair)
    best: Match | None = None
    reached: list[tuple[Pose, Pose]] = []  # from where, to where
    for start in _starts(points, known):
        if any(_near(start, pose) for both in reached for pose in both):
            continue
        match = align(first, second, start, common, points.aspects)
        reached.append((start, start if match is None else match.pose))
        if match is None:
            continue
        match = replace(match, support=points.support(match.pose))
        if best is None or (match.copy, match.own) > (best.copy, best.own):
            best = match
        # A part that is nearly its own mirror image agrees well that way too, but not so well.
        if best.copy and best.own >= SURELY_LAID:
            break
    return best


def _near(one: Pose, other: Pose) -> bool:
    """Whether two poses lay every corner nearly on one place: one is found from the other."""
    apart = (one - other) @ CORNERS
    return bool((apart * apart).sum(axis=0).max() < SAME_START**2)


def _starts(points: PointPair, known: list[Pose]) -> Iterator[Pose]:
    yield from known[:4]
    for mirrored in (False, True):
        pose = points.pose(mirrored)
        if pose is not None:
            yield pose

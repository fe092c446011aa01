"""Which pairs deserve a closer look, and the look: their pictures are read again, few at a time."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from trainer.audit.alignment import Match
from trainer.audit.chunks import in_chunks
from trainer.audit.closer import look_closer
from trainer.audit.photo import Photo

Rows = tuple[int, int]
Read = Callable[[int], Photo | None]

KEPT = 512  # pictures in memory, 0.1 MB each: pairs come so that they are soon asked for again
MOST = 6  # pairs a picture: those of a part agree best, and a design would be there always
WORTH = 0.5  # of what is their own: most copies lie at 0.56 and more
FAINT = 0.3  # copies that lost much in clipping: each picture's best pairs only
MOST_FAINT = 2


def looked_closer(
    found: Mapping[Rows, Match], read: Read, workers: int, progress: Callable[[int, int], None]
) -> dict[Rows, Match]:
    """Those of `found` whose grain makes it certain that they show one part, with what was seen.

    `read` gives what is compared of a row, or None if it cannot be read any more; it is called
    from `workers` threads.
    """
    kept = lru_cache(KEPT)(read)

    def work(pair: Rows) -> Match | None:
        first, second = (kept(row) for row in pair)
        if first is None or second is None:
            return None
        match = found[pair]
        closer = look_closer(first, second, match.pose, match.support)
        match = replace(match, closer=closer)
        return match if match.certain else None

    return in_chunks(_neighbours(worth(found)), work, workers, progress)


def _neighbours(pairs: Sequence[Rows]) -> list[Rows]:
    """The same pairs, those that share pictures near each other: each picture is then read once."""
    partners: dict[int, list[int]] = defaultdict(list)
    for low, high in pairs:
        partners[low].append(high)
        partners[high].append(low)
    met: set[int] = set()
    ordered: dict[Rows, None] = {}
    for start in sorted(partners):
        waiting = deque([start])
        while waiting:
            row = waiting.popleft()
            if row in met:
                continue
            met.add(row)
            for other in sorted(partners[row]):
                ordered.setdefault((min(row, other), max(row, other)))
                waiting.append(other)
    return list(ordered)


def worth(found: Mapping[Rows, Match]) -> list[Rows]:
    """The pairs that agree best, in order of rows: at most 6 a picture, 2 where little agrees."""
    taken: Counter[int] = Counter()
    chosen = []
    for pair, match in sorted(found.items(), key=lambda one: (-one[1].own, one[0])):
        most = MOST if match.own >= WORTH else MOST_FAINT
        if match.own >= FAINT and min(taken[row] for row in pair) < most:
            chosen.append(pair)
            taken.update(pair)
    return sorted(chosen)

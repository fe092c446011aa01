"""Which pairs deserve a closer look, and the look: their pictures are read again, few at a time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

from trainer.audit.alignment import Alignment
from trainer.audit.pixel_match import ComparedPicture, match_pixels

Rows = tuple[int, int]
ReadPicture = Callable[[int], ComparedPicture | None]

KEPT = 512  # pictures in memory, 0.1 MB each: pairs come sorted, so that they are asked for again
MOST = 6  # pairs a picture: those of a part agree best, and a design would be there always
WORTH = 0.5  # of what is their own: most copies lie at 0.56 and more
FAINT = 0.3  # copies that lost much in clipping: each picture's best pairs only
MOST_FAINT = 2
CHUNK = 32


def compare_pixels(
    found: Mapping[Rows, Alignment],
    read: ReadPicture,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[Rows, Alignment]:
    """Those of `found` whose grain makes it certain that they show one part, with what was seen.

    `read` gives what is compared of a row, or None if it cannot be read any more; it is called
    from `workers` threads.
    """
    pairs = worth_comparing(found)
    chunks = [pairs[at : at + CHUNK] for at in range(0, len(pairs), CHUNK)]
    kept = lru_cache(KEPT)(read)

    def work(chunk: Sequence[Rows]) -> list[tuple[Rows, Alignment]]:
        sure = []
        for pair in chunk:
            first, second = (kept(row) for row in pair)
            if first is None or second is None:
                continue
            match = found[pair]
            match = replace(match, pixel_match=match_pixels(first, second, match.pose))
            if match.certain:
                sure.append((pair, match))
        return sure

    certain: dict[Rows, Alignment] = {}
    with ThreadPoolExecutor(workers, "audit") as pool:
        for at, sure in enumerate(pool.map(work, chunks)):
            certain.update(sure)
            progress(min(len(pairs), (at + 1) * CHUNK), len(pairs))
    return certain


def worth_comparing(found: Mapping[Rows, Alignment]) -> list[Rows]:
    """The pairs that agree best, in order of rows: at most 6 a picture, 2 where little agrees."""
    taken: Counter[int] = Counter()
    chosen = []
    for pair, match in sorted(found.items(), key=lambda one: (-one[1].own, one[0])):
        most = MOST if match.own >= WORTH else MOST_FAINT
        if match.own >= FAINT and min(taken[row] for row in pair) < most:
            chosen.append(pair)
            taken.update(pair)
    return sorted(chosen)

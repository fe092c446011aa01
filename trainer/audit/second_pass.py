"""The second pass: reads the pictures of likely pairs again and compares them pixel by pixel."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

from trainer.audit.alignment import Alignment
from trainer.audit.pixel_match import ComparedPicture, match_pixels

Rows = tuple[int, int]
ReadPicture = Callable[[int], ComparedPicture | None]

CACHED_PICTURES = 512  # 0.1 MB each; pairs are sorted, so the next pairs need the same pictures
MAX_PAIRS = 6  # a picture: the pairs of one part agree best, and one design has many pairs
MIN_RESIDUAL_LIKELY = 0.5  # most copies reach 0.56
MIN_RESIDUAL_FAINT = 0.3  # copies that lost much by clipping: only the best pairs of a picture
MAX_FAINT_PAIRS = 2
CHUNK_PAIRS = 32


def compare_pixels(
    found: Mapping[Rows, Alignment],
    read: ReadPicture,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[Rows, Alignment]:
    """The pairs of `found` whose texture proves that they show one part, with the pixel match.

    `read` reads the picture of a row, None when it is no longer readable; `workers` threads call
    it.
    """
    pairs = worth_comparing(found)
    chunks = [pairs[at : at + CHUNK_PAIRS] for at in range(0, len(pairs), CHUNK_PAIRS)]
    cached_read = lru_cache(CACHED_PICTURES)(read)

    def work(chunk: Sequence[Rows]) -> list[tuple[Rows, Alignment]]:
        matches = []
        for pair in chunk:
            first, second = (cached_read(row) for row in pair)
            if first is None or second is None:
                continue
            match = found[pair]
            match = replace(match, pixel_match=match_pixels(first, second, match.pose))
            if match.certain:
                matches.append((pair, match))
        return matches

    certain: dict[Rows, Alignment] = {}
    with ThreadPoolExecutor(workers, "audit") as pool:
        for at, matches in enumerate(pool.map(work, chunks)):
            certain.update(matches)
            progress(min(len(pairs), (at + 1) * CHUNK_PAIRS), len(pairs))
    return certain


def worth_comparing(found: Mapping[Rows, Alignment]) -> list[Rows]:
    """The pairs with the best residual, sorted by row: at most 6 a picture, 2 of faint ones."""
    taken: Counter[int] = Counter()
    chosen = []
    for pair, match in sorted(found.items(), key=lambda one: (-one[1].residual, one[0])):
        max_pairs = MAX_PAIRS if match.residual >= MIN_RESIDUAL_LIKELY else MAX_FAINT_PAIRS
        if match.residual >= MIN_RESIDUAL_FAINT and min(taken[row] for row in pair) < max_pairs:
            chosen.append(pair)
            taken.update(pair)
    return sorted(chosen)

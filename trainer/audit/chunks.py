"""Work on many pairs in threads, a few pairs at a time, so that a progress bar moves."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from trainer.audit.alignment import Match

Pair = tuple[int, int]
CHUNK = 16  # pairs: a fraction of a second


def in_chunks(
    pairs: Sequence[Pair],
    work: Callable[[Pair], Match | None],
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[Pair, Match]:
    """What `work` says of each pair, without those of which it says None, in the order of `pairs`
    whatever the number of threads. `progress` is told how many are done, of how many."""
    chunks = [pairs[at : at + CHUNK] for at in range(0, len(pairs), CHUNK)]
    found: dict[Pair, Match] = {}

    def one_chunk(chunk: Sequence[Pair]) -> list[tuple[Pair, Match]]:
        said = ((pair, work(pair)) for pair in chunk)
        return [(pair, result) for pair, result in said if result is not None]

    with ThreadPoolExecutor(workers, "audit") as pool:
        for at, results in enumerate(pool.map(one_chunk, chunks)):
            found.update(results)
            progress(min(len(pairs), (at + 1) * CHUNK), len(pairs))
    return found

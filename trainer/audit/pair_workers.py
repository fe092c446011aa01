"""Processes that align and compare pairs of pictures.

The work is many small steps of NumPy, which hold Python's lock: threads would wait for each other.
Each process uses one thread of BLAS and of OpenCV; more would only compete. The processes read the
fingerprints from the store's files.
"""

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType
from typing import Any, Self, TypeVar

import cv2

from trainer.audit.alignment import Alignment, CoarseMatch, SharedStructure
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.pair_alignment import Pair, coarse_matches, fine_match, match_without
from trainer.audit.pixel_match import ComparedPicture, match_pixels
from trainer.audit.pose import Pose
from trainer.core import optional_import

ReadPicture = Callable[[int], ComparedPicture | None]
Progress = Callable[[int, int], None]
Entry = TypeVar("Entry")
Found = TypeVar("Found")

CHUNK_PAIRS = 32
CACHED_PICTURES = 256  # 0.1 MB each; pairs are sorted, so the next pairs need the same pictures


@dataclass(frozen=True, slots=True)
class PairJob:
    """What a process needs besides the pairs. `read` reads the picture of a row again."""

    store: FingerprintStore
    common: SharedStructure
    read: ReadPicture

    def coarse(self, entry: tuple[Pair, list[Pose]]) -> list[CoarseMatch]:
        """The best poses at half size."""
        pair, known = entry
        return coarse_matches(self.store, pair, known, self.common)

    def fine(self, entry: tuple[Pair, list[Pose]]) -> Alignment | None:
        """The alignment at full thumbnail size."""
        pair, starts = entry
        return fine_match(self.store, pair, starts, self.common)

    def pixels(self, entry: tuple[Pair, Alignment]) -> Alignment | None:
        """The alignment with the comparison of the pictures; None for an unreadable picture."""
        pair, match = entry
        first, second = (self.read(row) for row in pair)
        if first is None or second is None:
            return None
        return replace(match, pixel_match=match_pixels(first, second, match.pose))

    def family(self, entry: tuple[Pair, Alignment, SharedStructure]) -> Alignment:
        """The alignment compared without the structure of a family."""
        pair, match, common = entry
        return match_without(self.store, pair, match, common)


class PairWorkers:
    """A context manager: a pool of `workers` processes, or this process for one worker."""

    def __init__(self, job: PairJob, workers: int) -> None:
        self._job = job
        self._limits: Any = None
        self._threads = cv2.getNumThreads()
        self._pool = (
            ProcessPoolExecutor(
                workers, multiprocessing.get_context("spawn"), _begin, initargs=(job,)
            )
            if workers > 1
            else None
        )

    def __enter__(self) -> Self:
        if self._pool is None:
            self._limits = _one_thread()
            _begin(self._job)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        else:
            self._limits.restore_original_limits()
            cv2.setNumThreads(self._threads)
            _JOBS.clear()

    def map(self, method: str, entries: Sequence[Entry], progress: Progress) -> Iterator[Any]:
        """The result of the job's `method` for each entry, in the order of `entries`."""
        chunks = [entries[at : at + CHUNK_PAIRS] for at in range(0, len(entries), CHUNK_PAIRS)]
        calls = [(method, chunk) for chunk in chunks]
        results = self._pool.map(_work, calls) if self._pool is not None else map(_work, calls)
        done = 0
        for found in results:
            yield from found
            done += len(found)
            progress(done, len(entries))


_JOBS: list[PairJob] = []  # the one of this process


def _begin(job: PairJob) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:  # a killed parent would leave this process waiting for ever
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    cv2.setNumThreads(1)
    _one_thread()
    _JOBS[:] = [replace(job, read=lru_cache(CACHED_PICTURES)(job.read))]


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _one_thread() -> Any:
    return optional_import("threadpoolctl").threadpool_limits(1, "blas")


def _work(call: tuple[str, Sequence[Any]]) -> list[Any]:
    method, entries = call
    work = getattr(_JOBS[0], method)
    return [work(entry) for entry in entries]

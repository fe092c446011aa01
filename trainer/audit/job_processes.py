"""Processes that do one job for many entries: they read pictures, or align and compare pairs.

The work is many small steps of NumPy, which hold Python's lock: threads would wait for each other.
Each process uses one thread of BLAS and of OpenCV; more would only compete.
"""

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import cv2

from trainer.core import optional_import

Progress = Callable[[int, int], None]
Entry = TypeVar("Entry")

CHUNK_ENTRIES = 16


class Job(Protocol):
    """The work and its data; pickled once a process."""

    def in_process(self) -> "Job":
        """The job with the caches of one process."""


class JobProcesses:
    """A context manager: a pool of `workers` processes, or this process for one worker."""

    def __init__(self, job: Job, workers: int) -> None:
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
            self._limits = one_thread()
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
        chunks = [entries[at : at + CHUNK_ENTRIES] for at in range(0, len(entries), CHUNK_ENTRIES)]
        calls = [(method, chunk) for chunk in chunks]
        results = self._pool.map(_work, calls) if self._pool is not None else map(_work, calls)
        done = 0
        for found in results:
            done += len(found)
            progress(done, len(entries))
            yield from found


_JOBS: list[Job] = []  # the one of this process


def _begin(job: Job) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:  # a killed parent would leave this process waiting for ever
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    cv2.setNumThreads(1)
    one_thread()
    _JOBS[:] = [job.in_process()]


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def one_thread() -> Any:
    """Limits BLAS to one thread; the result is a context manager that restores the limits.

    On a busy machine, threads of small products mostly wait for each other.
    """
    return optional_import("threadpoolctl").threadpool_limits(1, "blas")


def _work(call: tuple[str, Sequence[Any]]) -> list[Any]:
    method, entries = call
    work = getattr(_JOBS[0], method)
    return [work(entry) for entry in entries]

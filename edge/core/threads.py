"""Named daemon threads that go on after an exception, and a copy-on-write dictionary.

A thread that ends by an exception is started again in itself after a pause. `ThreadWatch` knows
all threads, and reports those that failed or ended.
"""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping, ValuesView
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

PAUSE_S = 0.5  # before a failed thread goes on
_WINDOW_S = 60.0
_MOST_FAILURES = 5  # in that window; with more the thread counts as ended
_LOWEST = 19  # nice value
_REPORTED_S = 600.0  # how long a failure is a fault in `health`


@dataclass(frozen=True, slots=True)
class ThreadFault:
    """A thread that failed.

    name: of the thread.
    why: what happened, in one sentence.
    ended: it does no work any more, or fails all the time; otherwise it goes on.
    vital: without it parts get no verdict, or a fault stays unseen.
    """

    name: str
    why: str
    ended: bool
    vital: bool


class ThreadWatch:
    """Knows the threads that were started and have not ended as asked. Safe between threads."""

    def __init__(self, tick: Callable[[], float] = time.monotonic) -> None:
        """`tick`: monotonic seconds."""
        self.failures = 0  # since the start
        self._tick = tick
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, bool] = {}  # vital or not
        self._failures: dict[tuple[str, bool], deque[tuple[float, str]]] = {}

    def add(self, thread: threading.Thread, *, vital: bool) -> None:
        """A started thread, also one of a library. Until `remove` its end is a fault."""
        with self._lock:
            self._running[thread] = vital

    def remove(self, thread: threading.Thread) -> None:
        """The thread ends, or has ended, as asked."""
        with self._lock:
            self._running.pop(thread, None)

    def failed(self, name: str, error: BaseException, *, vital: bool) -> None:
        """The function of a thread has raised `error`."""
        with self._lock:
            self.failures += 1
            found = self._failures.setdefault((name, vital), deque(maxlen=100))
            found.append((self._tick(), repr(error)))

    def faults(self) -> list[ThreadFault]:
        """The present faults, those of ended threads first."""
        now = self._tick()
        with self._lock:
            ended = {
                thread.name: vital
                for thread, vital in self._running.items()
                if thread.ident is not None and not thread.is_alive()
            }
            failures = {key: list(found) for key, found in self._failures.items()}
        faults = []
        for (name, vital), found in failures.items():
            recent = [why for at, why in found if now - at <= _REPORTED_S]
            if not recent:
                continue
            often = sum(now - at <= _WINDOW_S for at, _ in found) > _MOST_FAILURES
            why = f"failed {len(recent)} times in ten minutes, last with {recent[-1]:.200}"
            if name in ended:
                why = f"has ended: {why}"
            faults.append(ThreadFault(name, why, name in ended or often, vital))
        known = {fault.name for fault in faults}
        faults += [
            ThreadFault(name, "has ended without being asked", ended=True, vital=vital)
            for name, vital in ended.items()
            if name not in known
        ]
        return sorted(faults, key=lambda fault: not fault.ended)


WATCH = ThreadWatch()  # of this process, as `threading.enumerate` is


class NamedThread(threading.Thread):
    """A daemon thread that `top -H` and `ps -T` show by its name, cut to 15 bytes.

    Python sets the kernel's name itself from 3.14 on. A daemon thread does not stop the process
    from ending when a driver hangs.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], object],
        *,
        vital: bool = True,
        again: bool = True,
        watch: ThreadWatch = WATCH,
    ) -> None:
        """`run` returns when the thread was asked to end.

        vital: see `ThreadFault`.
        again: `run` is called again after an exception; False: it serves only once.
        watch: gets failures.
        """
        super().__init__(name=name, daemon=True)
        self._function, self._vital, self._again, self._watch = run, vital, again, watch

    def start(self) -> None:
        """Raises RuntimeError when the system has no room for a thread."""
        self._watch.add(self, vital=self._vital)
        try:
            super().start()
        except BaseException:
            self._watch.remove(self)
            raise

    def run(self) -> None:
        """The thread; calls the function until it returns."""
        with contextlib.suppress(OSError):  # the name is optional
            comm = Path(f"/proc/self/task/{self.native_id}/comm")
            comm.write_bytes(self.name.encode()[:15])
        while True:
            try:
                self._function()
                break
            except BaseException as error:  # outermost loop of every thread
                self._watch.failed(self.name, error, vital=self._vital)
                log.exception("thread %s: unexpected fault", self.name)
            if not self._again and self._vital:
                return  # nothing replaces it: it stays an ended one
            if not self._again:
                break
            time.sleep(PAUSE_S)
        self._watch.remove(self)


def start_thread(
    name: str, run: Callable[[], object], *, vital: bool = True, watch: ThreadWatch = WATCH
) -> threading.Thread:
    """Starts a named thread; parameters as in `NamedThread`."""
    thread = NamedThread(name, run, vital=vital, watch=watch)
    thread.start()
    return thread


def yield_processor() -> None:
    """Gives the calling thread the lowest priority: it computes when nothing else does. Raises
    nothing; a thread cannot take it back."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)


def run_when_idle() -> None:
    """For a process beside the daemon: the calling thread, and those that it starts, also give way
    at once to any other, which counts its core as free. Not for a thread that shares locks with
    others: they would wait for it. Raises nothing; cannot be taken back."""
    yield_processor()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


class CopyOnWriteDict(MutableMapping[str, T]):
    """A dictionary that threads may read and iterate over without a lock.

    Each change replaces the whole dictionary by a copy, so that an iteration sees one state.
    Only one thread at a time may change it.
    """

    def __init__(self, entries: Mapping[str, T] | None = None) -> None:
        self._entries: dict[str, T] = dict(entries or {})

    def __getitem__(self, key: str) -> T:
        return self._entries[key]

    def __setitem__(self, key: str, entry: T) -> None:
        self._entries = {**self._entries, key: entry}

    def __delitem__(self, key: str) -> None:
        entries = dict(self._entries)
        del entries[key]
        self._entries = entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def replace(self, entries: Mapping[str, T]) -> None:
        """Replaces all entries at once."""
        self._entries = dict(entries)

    def values(self) -> ValuesView[T]:
        return self._entries.values()

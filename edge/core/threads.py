"""Named daemon threads, and a copy-on-write dictionary."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, ValuesView
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class NamedThread(threading.Thread):
    """A daemon thread that `top -H` and `ps -T` show by its name, cut to 15 bytes.

    Python sets the kernel's name itself from 3.14 on. A daemon thread does not stop the process
    from ending when a driver hangs.
    """

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        super().__init__(target=run, name=name, daemon=True)

    def run(self) -> None:
        with contextlib.suppress(OSError):  # the name is optional
            comm = Path(f"/proc/self/task/{self.native_id}/comm")
            comm.write_bytes(self.name.encode()[:15])
        super().run()


def start_thread(name: str, run: Callable[[], object]) -> threading.Thread:
    """Starts a named thread."""
    thread = NamedThread(name, run)
    thread.start()
    return thread


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

    def values(self) -> ValuesView[T]:
        return self._entries.values()

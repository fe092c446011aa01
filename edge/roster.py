"""Who is there now: a mapping that changes while others read it."""

from collections.abc import Iterator, Mapping, ValuesView
from typing import TypeVar

T = TypeVar("T")


class Roster(Mapping[str, T]):
    """Readers never wait and never see half a change: each change puts a new dictionary into the
    place of the old one. Changes come from one thread at a time."""

    def __init__(self, entries: Mapping[str, T] | None = None) -> None:
        self._entries: dict[str, T] = dict(entries or {})

    def __getitem__(self, name: str) -> T:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def values(self) -> ValuesView[T]:
        """Those who are there at this moment."""
        return self._entries.values()

    def put(self, name: str, entry: T) -> None:
        """Comes, or takes the place of one."""
        self._entries = {**self._entries, name: entry}

    def drop(self, name: str) -> None:
        """Goes, if there."""
        self._entries = {key: entry for key, entry in self._entries.items() if key != name}

"""The index of the archive: bytes in each day folder, the oldest picture, the folder for the next
one, and the path of a verdict's picture. Its memory does not grow with the number of pictures."""

import contextlib
import heapq
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.storage.archive_files import (
    Age,
    age_of,
    day_folders,
    day_of,
    delete,
    delete_parts,
    kind_of,
    new_folder,
    pictures,
    remove_folder,
    time_of,
)

_BLOCK = 4096
_STEP = 256  # files counted between two yields
_LIST = 4096  # names of the oldest folder in memory, at most
_ID = 40  # characters at the end of a name: an id, which begins with its time, and .jpg
_STEP_BACK_MS = 2_000  # workers finish out of order; past that the clock was set back


@dataclass(slots=True)
class _DayFolder:
    age: Age
    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Current:
    """The folder for new pictures. `newest_ms`: the highest time of an id in it."""

    name: str
    newest_ms: int


class ArchiveIndex:
    """For one thread, except `find`. archive_files.py describes the files."""

    def __init__(self, path: Path, max_bytes: float) -> None:
        """`max_bytes`: the budget."""
        self.counted = False
        self._path, self._max_bytes = path, max_bytes
        self._days: dict[str, _DayFolder] = {}
        self._files = self._bytes = 0
        self._new: set[str] = set()  # written while older files are still being counted
        self._kinds: set[str] = set()  # beginnings of names: `<verdict>-<camera>`
        self._oldest: deque[Path] = deque()
        self._current: _Current | None = None

    def count(self) -> Iterator[None]:
        """Counts the existing files, in steps, between which pictures can be kept. Then enforces
        the budget. Raises OSError."""
        seen = 0
        for day in sorted(day_folders(self._path)):
            delete_parts(self._path / day)
            for picture in pictures(self._path / day):
                if picture.name not in self._new:
                    self._note_file(day, picture)
                seen += 1
                if seen % _STEP == 0:
                    yield
        self.counted = True
        if self._new:
            self._new.clear()
            self._keep_budget()

    def folder_for(self, day: str, time_ms: int) -> Path:
        """The folder for a picture with this time in its id. A new one when the day has changed or
        the clock was set back: folders are deleted in the order in which they were created. Raises
        OSError."""
        current = self._current or self._newest_folder()
        # after a start no older picture is on its way
        slack_ms = _STEP_BACK_MS if self._current is not None else 0
        if current is None or not self._fits(current, day, time_ms + slack_ms):
            ages = [age_of(self._path / name) for name in day_folders(self._path)]
            order = max([0, *(age[0] for age in ages)]) + 1
            current = _Current(new_folder(self._path, day, order), time_ms)
        current.newest_ms = max(current.newest_ms, time_ms)
        self._current = current
        return self._path / current.name

    def added(self, path: Path, size: int) -> None:
        """A picture of `size` bytes was written. Past the budget, deletes the oldest pictures, but
        never the newest. Raises OSError."""
        self._note(path.parent.name, path.name, size)
        if self.counted:
            self._keep_budget()
        else:
            self._new.add(path.name)

    def find(self, days: Sequence[str], name: str) -> Iterator[Path]:
        """Possible paths of the picture of the verdict with this id, those of these days first."""
        known = list(self._days) if self.counted else day_folders(self._path)
        for folder in sorted(known, key=lambda one: day_of(one) not in days):
            if not self.counted:
                yield from (self._path / folder).glob(f"*-{name}.jpg")
                continue
            for kind in tuple(self._kinds):
                yield self._path / folder / f"{kind}-{name}.jpg"

    def _newest_folder(self) -> _Current | None:
        name = max(day_folders(self._path), key=lambda one: age_of(self._path / one), default=None)
        if name is None:
            return None
        times = (time_of(picture.name) for picture in pictures(self._path / name))
        return _Current(name, max(times, default=0))

    def _fits(self, current: _Current, day: str, time_ms: int) -> bool:
        # around midnight a slow picture may be of the day before
        later = day > (day_of(current.name) or "")
        set_back = time_ms < current.newest_ms
        path = self._path / current.name
        return not later and not set_back and path.is_dir() and not path.is_symlink()

    def _keep_budget(self) -> None:
        # the listing may show that another program has deleted enough
        while self._is_over() and self._list_oldest() and self._is_over():
            self._delete(self._oldest.popleft())

    def _note_file(self, day: str, picture: os.DirEntry[str]) -> None:
        with contextlib.suppress(OSError):  # deleted since the listing
            self._note(day, picture.name, picture.stat(follow_symlinks=False).st_size)

    def _note(self, day: str, name: str, size: int) -> None:
        kind = kind_of(name)
        if kind is None:
            return
        self._kinds.add(kind)
        known = self._days.get(day)
        if known is None:
            known = self._days[day] = _DayFolder(age_of(self._path / day))
        known.files += 1
        known.bytes += _blocks(size)
        self._files += 1
        self._bytes += _blocks(size)

    def _is_over(self) -> bool:
        return self._bytes > self._max_bytes and self._files > 1

    def _delete(self, path: Path) -> None:
        size = delete(path)
        known = self._days.get(path.parent.name)
        if size is None or known is None:
            return  # deleted by another program; the next listing counts again
        known.files -= 1
        known.bytes -= _blocks(size)
        self._files -= 1
        self._bytes -= _blocks(size)
        if known.files <= 0:
            self._remove_folder(path.parent.name)

    def _list_oldest(self) -> bool:
        """Whether there is a picture to delete. Lists a folder once for many pictures."""
        while not self._oldest and self._days:
            day = min(self._days, key=lambda one: self._days[one].age)
            folder = self._path / day
            if sum(1 for _ in pictures(folder)) != self._days[day].files:
                self._count_again(day)  # another program has added or deleted files
            names = (picture.name for picture in pictures(folder))
            first = heapq.nsmallest(_LIST, names, key=lambda name: name[-_ID:])
            self._oldest.extend(folder / name for name in first)
            if not first:
                self._remove_folder(day)
        return bool(self._oldest)

    def _remove_folder(self, day: str) -> None:
        self._forget(day)
        remove_folder(self._path / day)

    def _count_again(self, day: str) -> None:
        age = self._days[day].age
        self._forget(day)
        self._days[day] = _DayFolder(age)
        for picture in pictures(self._path / day):
            self._note_file(day, picture)

    def _forget(self, day: str) -> None:
        known = self._days.pop(day, None)
        if known is not None:
            self._files -= known.files
            self._bytes -= known.bytes


def _blocks(size: int) -> int:
    """Bytes on disk: a file takes whole blocks."""
    return -(-size // _BLOCK) * _BLOCK

"""The index of the archive, which has one folder per day: bytes in each folder, the oldest picture,
and the path of a verdict's picture. Its memory does not grow with the number of pictures."""

import contextlib
import heapq
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 4096
_STEP = 256  # files counted between two yields
_LIST = 4096  # names of the oldest day in memory, at most
_ID = 40  # characters at the end of a name: an id, which begins with its time, and .jpg
_NAME = re.compile(r"((?:pass|review|fail|error)-.+)-[0-9a-f-]{36}\.jpg")


@dataclass(slots=True)
class _DayFolder:
    files: int = 0
    bytes: int = 0


class ArchiveIndex:
    """For one thread, except `find`. Files: `<path>/<day>/<verdict>-<camera>-<id>.jpg`."""

    def __init__(self, path: Path, max_bytes: float) -> None:
        """`max_bytes`: the budget."""
        self.counted = False
        self._path, self._max_bytes = path, max_bytes
        self._days: dict[str, _DayFolder] = {}
        self._files = self._bytes = 0
        self._new: set[str] = set()  # written while older files are still being counted
        self._kinds: set[str] = set()  # beginnings of names: `<verdict>-<camera>`
        self._oldest: deque[Path] = deque()

    def count(self) -> Iterator[None]:
        """Counts the existing files, in steps, between which pictures can be kept. Then enforces
        the budget. Raises OSError."""
        seen = 0
        for day in _folders(self._path):
            for file in _pictures(self._path / day):
                if file.name not in self._new:
                    self._note(day, file)
                seen += 1
                if seen % _STEP == 0:
                    yield
        self.counted = True
        if self._new:
            self._new.clear()
            self._keep_budget()

    def added(self, path: Path, size: int) -> None:
        """A picture of `size` bytes was written. Past the budget, deletes the oldest pictures, but
        never the newest. Raises OSError."""
        day = path.parent.name
        self._note_kind(path.name)
        self._add(day, _blocks(size))
        if self.counted:
            self._keep_budget()
        else:
            self._new.add(path.name)

    def find(self, day: str, name: str) -> Iterator[Path]:
        """Possible paths of the picture of the verdict with this id, in the folder of this day."""
        folder = self._path / day
        if not self.counted:
            yield from folder.glob(f"*-{name}.jpg")
            return
        for kind in tuple(self._kinds):
            yield folder / f"{kind}-{name}.jpg"

    def _keep_budget(self) -> None:
        # the listing may show that another program has deleted enough
        while self._is_over() and self._list_oldest() and self._is_over():
            self._delete(self._oldest.popleft())

    def _note(self, day: str, file: os.DirEntry[str]) -> None:
        with contextlib.suppress(OSError):  # deleted since the listing, or a dangling link
            self._add(day, _blocks(file.stat().st_size))
            self._note_kind(file.name)

    def _add(self, day: str, size: int) -> None:
        known = self._days.setdefault(day, _DayFolder())
        known.files += 1
        known.bytes += size
        self._files += 1
        self._bytes += size

    def _note_kind(self, name: str) -> None:
        if found := _NAME.fullmatch(name):
            self._kinds.add(found[1])

    def _is_over(self) -> bool:
        return self._bytes > self._max_bytes and self._files > 1

    def _delete(self, path: Path) -> None:
        try:
            size = _blocks(path.stat().st_size)
        except FileNotFoundError:
            return  # deleted by another program; the next listing counts again
        path.unlink(missing_ok=True)
        day = path.parent.name
        known = self._days.setdefault(day, _DayFolder())
        known.files -= 1
        known.bytes -= size
        self._files -= 1
        self._bytes -= size
        if known.files <= 0:
            self._remove_folder(day)

    def _list_oldest(self) -> bool:
        """Whether there is a picture to delete. Lists a folder once for many pictures."""
        while not self._oldest and self._days:
            day = min(self._days)
            folder = self._path / day
            if sum(1 for _ in _pictures(folder)) != self._days[day].files:
                self._count_again(day)  # another program has added or deleted files
            names = (file.name for file in _pictures(folder))
            first = heapq.nsmallest(_LIST, names, key=lambda name: name[-_ID:])
            self._oldest.extend(folder / name for name in first)
            if not first:
                self._remove_folder(day)
        return bool(self._oldest)

    def _remove_folder(self, day: str) -> None:
        self._forget(day)
        with contextlib.suppress(OSError):  # it is not empty
            (self._path / day).rmdir()

    def _count_again(self, day: str) -> None:
        self._forget(day)
        for file in _pictures(self._path / day):
            self._note(day, file)

    def _forget(self, day: str) -> None:
        known = self._days.pop(day, _DayFolder())
        self._files -= known.files
        self._bytes -= known.bytes


def _blocks(size: int) -> int:
    """Bytes on disk: a file takes whole blocks."""
    return -(-size // _BLOCK) * _BLOCK


def _folders(path: Path) -> list[str]:
    """Names of the day folders, the oldest first; none when it cannot be read."""
    try:
        return sorted(folder.name for folder in path.iterdir())
    except OSError:
        return []


def _pictures(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The pictures in a folder, one by one; none when it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as files:
        for file in files:
            if file.name.endswith(".jpg") and file.is_file():
                yield file

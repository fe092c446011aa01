"""The index of the evidence: what each camera has in each day folder, and the folder for the next
record. Its memory does not grow with the number of records."""

import contextlib
import heapq
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge.storage.evidence.files import (
    Age,
    age_of,
    day_folders,
    delete_evidence,
    listed,
    new_folder,
    on_disk,
    remove_folder,
    swept,
)
from edge.storage.evidence.names import EvidenceName, day_of

_STEP = 256  # files counted between two yields
_LIST = 4096  # names of a camera's oldest records in memory, at most
_STEP_BACK_MS = 2_000  # workers finish out of order; past that the clock was set back


@dataclass(slots=True)
class _Held:
    """What one camera has somewhere."""

    records: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _DayFolder:
    age: Age
    cameras: dict[str, _Held] = field(default_factory=dict)


@dataclass(slots=True)
class _Current:
    """The folder for new records. `newest_ms`: the highest time of an id in it."""

    name: str
    newest_ms: int


@dataclass(frozen=True, slots=True)
class _Oldest:
    folder: str
    id: str
    stem: str


class EvidenceIndex:
    """For one thread. files.py describes the files."""

    def __init__(self, path: Path, is_protected: Callable[[str], bool]) -> None:
        """`is_protected`: whether the record of the verdict with this id goes last."""
        self.counted = False
        self._path, self._is_protected = path, is_protected
        self._days: dict[str, _DayFolder] = {}
        self.cameras: frozenset[str] = frozenset()  # all that have had a record; read by any thread
        self._new: set[str] = set()  # stems written while older files are still being counted
        self._newest = ""  # the stem that was written last
        self._oldest: dict[str, deque[_Oldest]] = {}
        self._current: _Current | None = None

    @property
    def records(self) -> int:
        """The number of records."""
        return sum(held.records for day in self._days.values() for held in day.cameras.values())

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return sum(self.bytes_by_camera().values())

    def bytes_by_camera(self) -> dict[str, int]:
        """Bytes on disk by camera."""
        found: dict[str, int] = {}
        for day in self._days.values():
            for camera, held in day.cameras.items():
                found[camera] = found.get(camera, 0) + held.bytes
        return found

    def count(self, *, sweep: bool) -> Iterator[None]:
        """Counts the existing files, in steps, between which records can be written. Raises
        OSError.

        sweep: also deletes unfinished files of a killed process; not while another index writes.
        """
        seen, files = 0, swept if sweep else listed
        for day in sorted(day_folders(self._path)):
            for name, entry in files(self._path / day):
                if name.stem not in self._new:
                    self._note_file(day, name, entry)
                seen += 1
                if seen % _STEP == 0:
                    yield
        self.counted = True
        self._new.clear()

    def folder_for(self, day: str, time_ms: int) -> Path:
        """The folder for a record with this time in its id. A new one when the day has changed or
        the clock was set back: folders are deleted in the order in which they were created. Raises
        OSError."""
        current = self._current or self._newest_folder()
        # after a start no older record is on its way
        slack_ms = _STEP_BACK_MS if self._current is not None else 0
        if current is None or not self._fits(current, day, time_ms + slack_ms):
            ages = [age_of(self._path / name) for name in day_folders(self._path)]
            order = max([0, *(age[0] for age in ages)]) + 1
            current = _Current(new_folder(self._path, day, order), time_ms)
        current.newest_ms = max(current.newest_ms, time_ms)
        self._current = current
        return self._path / current.name

    def added(self, folder: Path, camera: str, stem: str, size: int) -> None:
        """A record was written; `size` is that of all its files on disk."""
        held = self._held(folder.name, camera)
        held.records += 1
        held.bytes += size
        self._newest = stem
        if not self.counted:
            self._new.add(stem)

    def delete_oldest(self, camera: str, *, protected: bool = False) -> str | None:
        """Deletes the oldest record of a camera, but never the one written last. Returns its id; an
        empty text when another program was faster, so that the sizes have changed; None when there
        is nothing to delete. Raises OSError.

        protected: also one that goes last.
        """
        waiting = self._oldest.setdefault(camera, deque())
        if protected:
            waiting.clear()
        for _ in range(2):  # a label may come between list and deletion
            if not waiting and self._list_oldest(camera, waiting, protected=protected):
                return ""
            while waiting:
                oldest = waiting.popleft()
                if protected or self._may_go(oldest.id, oldest.stem):
                    return self._delete(camera, oldest)
        return None

    def delete_days(self, since: str, before: str) -> None:
        """Deletes all records in the folders of these days, without `before`. Raises OSError."""
        for day in [name for name in self._days if since <= (day_of(name) or "") < before]:
            for name, _ in listed(self._path / day):
                if name.is_picture and self._may_go(name.id, name.stem):
                    self._delete(name.camera, _Oldest(day, name.id, name.stem))

    def _may_go(self, verdict_id: str, stem: str) -> bool:
        return stem != self._newest and not self._is_protected(verdict_id)

    def _delete(self, camera: str, oldest: _Oldest) -> str:
        freed = delete_evidence(self._path / oldest.folder, oldest.stem)
        if not freed:
            self._count_again(oldest.folder)
            return ""
        held = self._held(oldest.folder, camera)
        held.records -= 1
        held.bytes -= freed
        self._remove_if_empty(oldest.folder)
        return oldest.id

    def _list_oldest(self, camera: str, into: deque[_Oldest], *, protected: bool) -> bool:
        """Lists the oldest folder that has something to delete. Whether a folder was not as known:
        then it was counted again and nothing is listed."""
        days = [name for name, day in self._days.items() if camera in day.cameras]
        for day in sorted(days, key=lambda one: self._days[one].age):
            found = (name for name, _ in listed(self._path / day) if name.camera == camera)
            names = [name for name in found if name.is_picture]
            if len(names) != self._days[day].cameras[camera].records:
                self._count_again(day)
                return True
            free = (
                name
                for name in names
                if self._may_go(name.id, name.stem) or (protected and name.stem != self._newest)
            )
            first = heapq.nsmallest(_LIST, free, key=lambda name: name.id)
            into.extend(_Oldest(day, name.id, name.stem) for name in first)
            if into:
                break
        return False

    def _newest_folder(self) -> _Current | None:
        name = max(day_folders(self._path), key=lambda one: age_of(self._path / one), default=None)
        if name is None:
            return None
        times = (found.time_ms for found, _ in listed(self._path / name))
        return _Current(name, max(times, default=0))

    def _fits(self, current: _Current, day: str, time_ms: int) -> bool:
        # around midnight a slow picture may be of the day before
        later = day > (day_of(current.name) or "")
        set_back = time_ms < current.newest_ms
        path = self._path / current.name
        return not later and not set_back and path.is_dir() and not path.is_symlink()

    def _note_file(self, day: str, name: EvidenceName, entry: os.DirEntry[str]) -> None:
        with contextlib.suppress(OSError):  # deleted since the listing
            size = entry.stat(follow_symlinks=False).st_size
            held = self._held(day, name.camera)
            held.bytes += on_disk(size)
            held.records += name.is_picture

    def _held(self, day: str, camera: str) -> _Held:
        known = self._days.get(day)
        if known is None:
            known = self._days[day] = _DayFolder(age_of(self._path / day))
        if camera not in self.cameras:
            self.cameras |= {camera}
        return known.cameras.setdefault(camera, _Held())

    def _count_again(self, day: str) -> None:
        self._days.pop(day, None)
        for name, entry in listed(self._path / day):
            self._note_file(day, name, entry)
        self._remove_if_empty(day)

    def _remove_if_empty(self, day: str) -> None:
        known = self._days.get(day)
        if known is None or not any(held.records for held in known.cameras.values()):
            self._days.pop(day, None)
            remove_folder(self._path / day)
        else:
            for camera in [name for name, held in known.cameras.items() if not held.records]:
                del known.cameras[camera]

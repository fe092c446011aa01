"""`folder:` judges every picture file that is dropped there, once, also across restarts.

A file is read when inotify reports that it was closed after writing, or renamed into the folder.
Without that report (network drive, file from before the start), it is read when its size and time
are the same in two scans. The outbox stores a file's receipt in the commit of its verdict, so a
killed daemon neither skips nor repeats a file.

Other programs write into the folder: only regular files are read, no links, pipes or devices.
"""

import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path

from edge.capture.camera import CameraRead, item_name
from edge.capture.sources.inotify import FolderWatch
from edge.capture.sources.judged_file import move_file
from edge.capture.sources.picture_file import open_picture_file
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError, EdgeInspectError, PictureError
from edge.core.image import is_picture_name
from edge.core.regular_file import regular_status

log = logging.getLogger(__name__)

_SCAN_S = 0.2
_WATCHED_SCAN_S = 2.0  # a watched folder is scanned too: a network drive reports nothing
_PRUNE_S = 600.0
_DAMAGED_WAIT_S = 5.0  # a truncated file may still be written


class FolderCamera:
    """Reads one folder without its subfolders."""

    live = False

    def __init__(
        self,
        path: Path,
        judged: Callable[[str], bool],
        clock: Clock,
        *,
        stored: Callable[[str], bool] | None = None,
        hand_out: Callable[[str], None] = lambda _receipt: None,
        watch: FolderWatch | None = None,
        move_to: Path | None = None,
        prune: Callable[[Collection[str]], None] = lambda _present: None,
    ) -> None:
        """Scans nothing yet.

        judged    whether the file of a receipt has its verdict, stored or in memory
        stored    whether that verdict is on disk, so that the file may be moved; None: as `judged`
        hand_out  is called with the receipt of each file that is returned
        watch     inotify of `path`; None: the folder is only scanned
        move_to   the folder for judged files; None: they stay
        prune     gets the receipts of all files every 10 min, so that others can be forgotten

        Raises CameraError when there is no folder, or when judged files would stay in it.
        """
        if not path.is_dir():
            raise CameraError(f"folder: {path} is no folder; create it, or correct the source")
        if move_to is not None and move_to.exists() and move_to.samefile(path):
            raise CameraError(
                f"folder: move_to {move_to} is {path} under another name; name another folder"
            )
        self._path = path
        self._prefix = os.path.join(path, "")  # noqa: PTH118  `Path` takes longer than the kernel
        self._judged, self._stored, self._hand_out = judged, stored or judged, hand_out
        self._clock = clock
        self._watch, self._move_to, self._prune = watch, move_to, prune
        self._done: set[str] = set()
        self._seen: dict[str, tuple[str, float]] = {}  # name → receipt, seen since
        self._ready: list[tuple[str, str]] = []  # name and receipt of complete files
        self._delivered: dict[str, str] = {}  # receipt → name of files that may have to be moved
        self._odd: set[str] = set()  # names of entries that are no regular files
        self._next_scan = self._next_move = self._next_prune = clock.tick()
        self._quick_scans = 2  # two quick scans find the files from before the start

    def read(self, stop: StopEvent) -> CameraRead | None:
        """The next complete picture, oldest first; a damaged one is a fault."""
        while not stop.is_set():
            while self._ready:
                name, receipt = self._ready.pop(0)
                if (read := self._take(name, receipt)) is not None:
                    return read
            self._move_judged()
            # Scans have a distance: a file must stay unchanged between two, and a damaged file must
            # not make this loop spin.
            due = min(self._next_scan, self._next_move) if self._delivered else self._next_scan
            pause = max(0.0, due - self._clock.tick())
            if stop.wait(pause, None if self._watch is None else self._watch.fileno()):
                return None
            self._add_complete()
            if self._clock.tick() >= self._next_scan:
                self._quick_scans = max(0, self._quick_scans - 1)
                watched = self._watch is not None and not self._quick_scans
                self._next_scan = self._clock.tick() + (_WATCHED_SCAN_S if watched else _SCAN_S)
                self._scan()
        return None

    def close(self) -> None:
        """Ends the watch."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _add_complete(self) -> None:
        """Adds the files that inotify reports as complete."""
        if self._watch is None:
            return
        names = self._watch.complete()
        if names is None:
            self._next_scan, self._quick_scans = self._clock.tick(), 2
            return
        for name in dict.fromkeys(names):
            receipt = self._receipt_of(name) if is_picture_name(name) else None
            if receipt is not None and receipt not in self._done:
                self._seen[name] = (receipt, self._clock.tick())
                self._ready.append((name, receipt))

    def _scan(self) -> None:
        """Adds the files that have not changed since the last scan. Raises CameraError when the
        folder is gone."""
        now = self._clock.tick()
        found = self._pictures()
        names = {name for _, name, _ in found}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        present = {receipt for _, _, receipt in found}
        self._done &= present
        if now >= self._next_prune:
            self._next_prune = now + _PRUNE_S
            self._prune(present)
        for _, name, receipt in sorted(found):
            if receipt in self._done or self._is_open(name):
                continue
            before = self._seen.get(name)
            if before is None or before[0] != receipt:
                self._seen[name] = (receipt, now)
            else:
                self._ready.append((name, receipt))

    def _pictures(self) -> list[tuple[int, str, str]]:
        """Time in ns, name and receipt of each picture file. Raises CameraError."""
        found, odd = [], set[str]()
        try:
            with os.scandir(self._path) as entries:  # a folder may hold ten thousand files
                for entry in entries:
                    if not is_picture_name(entry.name):
                        continue
                    if (status := regular_status(entry)) is None:
                        odd.add(entry.name)
                    else:
                        found.append((status.st_mtime_ns, entry.name, _receipt(entry.name, status)))
        except FileNotFoundError as error:
            raise CameraError(f"folder: {self._path} has gone; create it again") from error
        except OSError as error:
            raise CameraError(f"folder: {self._path}: {error.strerror}") from error
        if new := odd - self._odd:
            log.warning(
                "folder: %s: not judged: %s (a link, a folder, a pipe or a device); copy or rename "
                "regular files into the folder",
                self._path,
                ", ".join(sorted(item_name(name) for name in new)[:5]),
            )
        self._odd = odd
        return found

    def _is_open(self, name: str) -> bool:
        """Whether a program is writing this file. A hard link into the folder is complete."""
        if self._watch is None or name not in self._watch.open:
            return False
        status = regular_status(self._prefix + name)
        return status is None or status.st_nlink == 1

    def _take(self, name: str, receipt: str) -> CameraRead | None:
        if receipt in self._done:
            return None
        path = self._prefix + name
        if self._asked(self._judged, receipt):
            self._mark_done(name, receipt)
            return None
        try:
            picture = open_picture_file(path)
        except PictureError as error:
            unchanged_s = self._clock.tick() - self._seen.get(name, ("", 0.0))[1]
            if unchanged_s < _DAMAGED_WAIT_S or self._receipt_of(name) is None:
                return None
            self._mark_done(name, receipt)
            self._hand_out(receipt)
            return CameraRead(None, item_name(name), receipt, item_name(str(error)))
        if self._receipt_of(name) != receipt:
            return None  # overwritten: the picture does not belong to the receipt
        self._mark_done(name, receipt)
        self._hand_out(receipt)
        return CameraRead(None, item_name(name), receipt, encoded=picture)

    def _mark_done(self, name: str, receipt: str) -> None:
        self._done.add(receipt)
        self._delivered[receipt] = name

    def _move_judged(self) -> None:
        """Moves files with a stored verdict. Others stay, so that a killed daemon finds them."""
        if self._move_to is None:
            self._delivered.clear()
            return
        if self._clock.tick() < self._next_move:
            return
        self._next_move = self._clock.tick() + _SCAN_S
        for receipt, name in list(self._delivered.items()):
            if not self._asked(self._stored, receipt):
                continue
            del self._delivered[receipt]
            if self._receipt_of(name) != receipt:
                continue  # it was removed or replaced
            try:
                move_file(self._path / name, self._move_to)
            except OSError as error:
                log.error(
                    "folder: %s: cannot be moved to %s (%s); it stays, and is not judged again",
                    self._path / name,
                    self._move_to,
                    error.strerror or error,
                )

    def _receipt_of(self, name: str) -> str | None:
        """The receipt of a file: its name, size and time; None when there is no such file."""
        status = regular_status(self._prefix + name)
        return None if status is None else _receipt(name, status)

    def _asked(self, question: Callable[[str], bool], receipt: str) -> bool:
        """The answer. Raises CameraError when the disk gives none: the file must wait, since it may
        have its verdict."""
        try:
            return question(receipt)
        except EdgeInspectError as error:
            raise CameraError(
                f"folder: {self._path}: which files are judged cannot be read; they wait ({error})"
            ) from error


def _receipt(name: str, status: os.stat_result) -> str:
    return f"{item_name(name)}|{status.st_size}|{status.st_mtime_ns}"

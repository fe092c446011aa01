"""The archive: keeps pictures of chosen verdicts within a budget. Never delays a verdict."""

import contextlib
import logging
import queue
import threading
from collections import deque
from contextlib import ExitStack
from datetime import UTC, datetime

import cv2

from edge.config import ArchiveConfig
from edge.core.errors import PictureError, RefusedError
from edge.core.frame import Frame
from edge.core.regular_file import read_regular
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.storage.archive_files import time_of, write_picture
from edge.storage.archive_index import ArchiveIndex

log = logging.getLogger(__name__)

_QUEUE = 4  # whole frames: a queue of 4 at 1080p is 25 MB
_QUALITY = 90
_PAUSE_S = 0.002  # between steps of counting, so that inspection gets Python's lock


class Archive:
    """Inspection calls `keep`, which returns at once; `run` is the thread that writes.

    Files: `<path>/<date>/<verdict>-<camera>-<id>.jpg`. Past the budget the oldest are deleted; what
    is not ours stays.
    """

    def __init__(self, config: ArchiveConfig) -> None:
        self.kept = self.skipped = 0
        self._config = config
        self._queue: queue.Queue[tuple[Frame, Verdict] | None] = queue.Queue(_QUEUE)
        self._closing = False
        self._ended = threading.Event()
        self._index = ArchiveIndex(config.path, config.max_mb * 2**20)
        self._faulty = False

    @property
    def counted(self) -> bool:
        """Whether the files of earlier runs are counted; then the budget is enforced."""
        return self._index.counted

    def keep(self, frame: Frame, verdict: Verdict) -> None:
        """Queues the picture if `archive.keep` has its verdict; a full queue skips it."""
        if verdict.verdict not in self._config.keep or not frame.has_picture:
            return
        try:
            self._queue.put_nowait((frame, verdict))
        except queue.Full:
            self.skipped += 1

    def find(self, name: str) -> bytes:
        """The kept JPEG of the verdict with this id (UUIDv7). Raises RefusedError."""
        made = int(name.replace("-", "")[:12], 16) / 1000  # an id begins with its time
        # a file deleted at this moment, or an id with an impossible time
        with contextlib.suppress(OSError, ValueError, OverflowError):
            times = [datetime.fromtimestamp(made + hour, UTC) for hour in (0, -3600, 3600)]
            days = [time.date().isoformat() for time in times]
            for path in self._index.find(days, name):
                with contextlib.suppress(OSError):
                    return read_regular(path)
        raise RefusedError(
            f"no picture of the verdict {name} is kept (archive.keep says which are)"
        )

    def close(self) -> None:
        """Ends the thread after the queued pictures."""
        self._closing = True
        with contextlib.suppress(queue.Full):  # then the thread is busy, and checks `_closing`
            self._queue.put_nowait(None)

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended, waiting up to `timeout` seconds for it."""
        return self._ended.wait(timeout)

    def run(self) -> None:
        """Until closed."""
        try:
            self._write_all()
        finally:
            self._ended.set()

    def _write_all(self) -> None:
        counting = self._index.count()
        while not (self._closing and self._queue.empty()):
            try:
                next(counting, None)  # in steps: counting a large archive delays no picture
                work = self._queue.get(timeout=None if self.counted else _PAUSE_S)
                if work is not None:  # None: closed
                    self._write(*work)
            except queue.Empty:
                continue
            except (OSError, ValueError, OverflowError, cv2.error, PictureError) as error:
                self.skipped += 1
                if not self._faulty:
                    log.error(
                        "archive: %s: a picture cannot be kept (%s); make room, lower "
                        "archive.max_mb, or check the folder and its owner",
                        self._config.path,
                        getattr(error, "strerror", None) or error,
                    )
                self._faulty = True
        if self.kept:
            with contextlib.suppress(OSError):  # the next start tries again
                deque(counting, 0)  # enforce the budget even when the run was short

    def _write(self, frame: Frame, verdict: Verdict) -> None:
        day = datetime.fromtimestamp(verdict.captured_at, UTC).date().isoformat()
        name = f"{verdict.verdict}-{verdict.camera}-{verdict.id}.jpg"
        data = _jpeg(frame)
        folder = self._index.folder_for(day, time_of(name))
        # pictures that come together are flushed together: fewer writes to the SD card
        write_picture(folder, name, data, flush_folder=self._queue.empty())
        self.kept += 1
        self._faulty = False
        self._index.added(folder / name, len(data))


class Evidence:
    """The archive that runs now, or none. A reload of config.yaml replaces it."""

    def __init__(self, config: ArchiveConfig) -> None:
        """Writes nothing before `start`."""
        self._archive = Archive(config) if config.enabled else None

    def start(self) -> None:
        """Starts the thread that writes."""
        if self._archive is not None:
            start_thread("archive", self._archive.run, vital=False)

    def prepare(self, config: ArchiveConfig, undo: ExitStack) -> Archive | None:
        """A running archive of another configuration, for `adopt`. `undo`: gets what ends it."""
        if not config.enabled:
            return None
        archive = Archive(config)
        start_thread("archive", archive.run, vital=False)
        undo.callback(archive.close)
        return archive

    def adopt(self, archive: Archive | None, undo: ExitStack) -> Archive | None:
        """Replaces the archive. Returns the old one; closed, it writes its queued pictures and
        ends. `undo`: gets what puts it back."""
        old = self._archive
        undo.callback(setattr, self, "_archive", old)
        self._archive = archive
        return old

    def keep(self, frame: Frame, verdict: Verdict) -> None:
        """Keeps the picture if `archive.keep` has this verdict. Never waits."""
        archive = self._archive
        if archive is not None:
            archive.keep(frame, verdict)

    @property
    def archive(self) -> Archive | None:
        """The kept pictures; None: `archive.enabled` is false."""
        return self._archive

    def close(self) -> None:
        """Asks the thread to end."""
        if self._archive is not None:
            self._archive.close()

    def join(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for the thread."""
        if self._archive is not None:
            self._archive.join(timeout)


def _jpeg(frame: Frame) -> bytes:
    """The camera's own JPEG if it has one, else a new one. Raises OSError and PictureError."""
    shown = frame.shown()
    if isinstance(shown, bytes):
        return shown
    assert shown is not None
    done, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise OSError("it cannot be encoded")
    return data.tobytes()

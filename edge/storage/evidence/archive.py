"""Writes the evidence: pictures of chosen verdicts with their records, within limits. Never delays
a verdict."""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import cv2

from edge.config import ArchiveConfig
from edge.core.clock import Clock
from edge.core.errors import PictureError, RefusedError
from edge.core.frame import Frame
from edge.core.installation import judged_on
from edge.core.messages import rfc3339
from edge.core.terms import Pixels
from edge.core.verdict import Verdict
from edge.storage.evidence.encoding import EncodedFrame, encode
from edge.storage.evidence.files import on_disk, write_evidence
from edge.storage.evidence.index import EvidenceIndex
from edge.storage.evidence.limits import EvidenceLimits, free_bytes
from edge.storage.evidence.names import id_time_ms, picture_name, stem_of
from edge.storage.evidence.policy import EvidencePolicy
from edge.storage.evidence.reader import EvidenceReader
from edge.storage.evidence.record import EvidenceFrame, Why, record_body

log = logging.getLogger(__name__)

_QUEUE = 64  # verdicts
_QUEUE_BYTES = 24 * 2**20  # in memory: four raw frames of 1080p; one verdict may have more
_PAUSE_S = 0.002  # between steps of counting, so that inspection gets Python's lock
_LIMITS_S = 3600.0  # age passes without a new picture too


class ProtectedRecords(Protocol):
    """What people have labelled."""

    def protected(self, verdict_id: str) -> bool:
        """Whether it was labelled and not exported yet: then its picture goes last."""
        ...


class NoLabels:
    """Nobody has labelled anything."""

    def protected(self, verdict_id: str) -> bool:  # noqa: ARG002  as the protocol
        """Never."""
        return False


@dataclass(frozen=True, slots=True)
class _Kept:
    frames: tuple[Frame, ...]
    verdict: Verdict
    why: tuple[Why, ...]

    @property
    def nbytes(self) -> int:
        return sum(frame.nbytes for frame in self.frames)


@dataclass(slots=True)
class ArchiveCounts:
    """Verdicts since the start.

    kept: those whose pictures are kept.
    skipped: those whose pictures were to be kept: the queue was full, or the disk refused.
    skipped_samples: those of the random sample among the skipped.
    """

    kept: int = 0
    skipped: int = 0
    skipped_samples: int = 0


class Archive:
    """Inspection calls `keep`, which returns at once; `run` is the thread that writes."""

    def __init__(
        self,
        config: ArchiveConfig,
        clock: Clock,
        labels: ProtectedRecords,
        *,
        first: bool = True,
        free: Callable[[Path], int] = free_bytes,
        draw: Callable[[], float] | None = None,
        counts: ArchiveCounts | None = None,
    ) -> None:
        """Parameters:

        counts: those of earlier archives of this process; None: it is the first.
        first: no other archive of this process writes into the folder.
        free, draw: those of `EvidenceLimits` and of `EvidencePolicy`.
        """
        self.counts = counts or ArchiveCounts()
        self._has_kept = False
        self._config, self._clock, self._first = config, clock, first
        self._policy = EvidencePolicy(config) if draw is None else EvidencePolicy(config, draw)
        self._queue: queue.Queue[_Kept | None] = queue.Queue(_QUEUE)
        self._queued_bytes, self._lock = 0, threading.Lock()
        self._closing = False
        self._ended = threading.Event()
        self._index = EvidenceIndex(config.path, labels.protected)
        self._limits = EvidenceLimits(config, self._index, free)
        self._fault = ""
        self._judged_on: dict[str, dict[str, str | None]] = {}  # by runtime

    @property
    def counted(self) -> bool:
        """Whether the files of earlier runs are counted; then the limits are enforced."""
        return self._index.counted

    def keep(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """Queues the frames if the policy has this verdict; a full queue skips it.

        frames: the one that the verdict shows, then the part's others in order of capture.
        """
        if not any(frame.has_picture for frame in frames):
            return
        why = self._policy.why(verdict)
        if not why:
            return
        work = _Kept(tuple(one.compact() for one in frames if one.has_picture), verdict, why)
        size = work.nbytes
        if self._queued_bytes and self._queued_bytes + size > _QUEUE_BYTES:
            self._skip(why)
            return
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self._skip(why)
        else:
            with self._lock:
                self._queued_bytes += size

    def find(self, verdict_id: str) -> Pixels | bytes:
        """The kept picture of a verdict: the JPEG, or another format's pixels. Raises
        RefusedError."""
        cameras = self._index.cameras if self.counted else None
        record = EvidenceReader(self._config.path).find(verdict_id, cameras)
        if record is not None:
            with contextlib.suppress(OSError, PictureError):
                return record.picture().shown()
        raise RefusedError(
            f"no picture of the verdict {verdict_id} is kept (archive.keep says which are)"
        )

    def faults(self) -> list[str]:
        """Present faults of the evidence, a sentence each."""
        found = [self._fault] if self._fault else []
        if lost := self._limits.lost:
            found.append(
                f"{len(lost)} labelled picture(s) were deleted before they were exported (last: "
                f"{lost[-1]}), because archive.max_mb is full of labelled pictures; run "
                "edge-inspect export --labelled, or raise archive.max_mb"
            )
        return found

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
        counting = self._index.count(sweep=self._first)
        while not (self._closing and self._queue.empty()):
            work: _Kept | None = None
            try:
                if not self.counted:  # in steps: counting a large archive delays no picture
                    next(counting, None)
                    if self.counted:
                        self._limits.enforce(self._clock.now())
                work = self._queue.get(timeout=self._wait_s())
                if work is not None:  # None: closed
                    with self._lock:
                        self._queued_bytes -= work.nbytes
                    self._write(work)
            except queue.Empty:
                self._enforce_limits()
            except (OSError, ValueError, OverflowError, cv2.error, PictureError) as error:
                self._note_failure(error, work)
        if self._has_kept and not self.counted:
            with contextlib.suppress(OSError):  # the next start tries again
                for _ in counting:
                    pass
                self._limits.enforce(self._clock.now())

    def _wait_s(self) -> float | None:
        if not self.counted:
            return _PAUSE_S
        return None if self._config.max_age_d is None else _LIMITS_S

    def _enforce_limits(self) -> None:
        if self.counted:
            with contextlib.suppress(OSError):  # the next picture reports it
                self._limits.enforce(self._clock.now())

    def _write(self, work: _Kept) -> None:
        verdict = work.verdict
        stem = stem_of(verdict.verdict, verdict.camera, verdict.id)
        files: list[tuple[str, bytes]] = []
        frames: list[EvidenceFrame] = []
        for one in self._encoded(work.frames):
            name = picture_name(stem, len(files) + 1, one.suffix)
            files.append((name, one.data))
            at = rfc3339(one.frame.captured_at)
            frames.append(
                EvidenceFrame(name, one.frame.seq, at, one.encoding, sha256(one.data).hexdigest())
            )
        record = record_body(
            verdict, tuple(frames), work.why, self._config.pass_sample, self._computed_on(verdict)
        )
        day = datetime.fromtimestamp(verdict.captured_at, UTC).date().isoformat()
        self._limits.make_room()
        folder = self._index.folder_for(day, id_time_ms(verdict.id))
        # pictures that come together are flushed together: fewer writes to the SD card
        last = self._queue.empty()
        write_evidence(folder, (f"{stem}.json", record), files, flush_folder=last)
        self.counts.kept += 1
        self._has_kept = True
        self._fault = ""
        size = sum(on_disk(len(data)) for _, data in files) + on_disk(len(record))
        self._index.added(folder, verdict.camera, stem, size)
        if self.counted:
            self._limits.enforce(self._clock.now())

    def _encoded(self, frames: Sequence[Frame]) -> list[EncodedFrame]:
        """The frames as files, without those that are damaged. Raises PictureError when all are."""
        found, fault = [], None
        for frame in frames:
            try:
                found.append(encode(frame, lossless=self._config.lossless))
            except PictureError as error:
                fault = error
        if fault is not None and not found:
            raise fault
        return found

    def _computed_on(self, verdict: Verdict) -> dict[str, str | None]:
        runtime = "" if verdict.judging is None else verdict.judging.runtime
        if runtime not in self._judged_on:
            self._judged_on[runtime] = judged_on(self._clock.root, runtime)
        return self._judged_on[runtime]

    def _skip(self, why: Sequence[Why]) -> None:
        self.counts.skipped += 1
        self.counts.skipped_samples += "sample" in why

    def _note_failure(self, error: Exception, work: _Kept | None) -> None:
        self._skip(() if work is None else work.why)
        fault = (
            f"{self._config.path}: a picture cannot be kept "
            f"({getattr(error, 'strerror', None) or error}); make room, lower archive.max_mb, or "
            "check the folder and its owner"
        )
        if not self._fault:
            log.error("archive: %s", fault)
        self._fault = fault

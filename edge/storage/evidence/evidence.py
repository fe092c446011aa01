"""The archive that runs now, or none. A reload of config.yaml replaces it."""

from collections.abc import Sequence
from contextlib import ExitStack

from edge.config import ArchiveConfig
from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.storage.evidence.archive import Archive, ArchiveCounts, NoLabels, ProtectedRecords


class Evidence:
    """Keeps pictures of verdicts. Safe between threads. `counts`: of all its archives."""

    def __init__(
        self, config: ArchiveConfig, clock: Clock, labels: ProtectedRecords | None = None
    ) -> None:
        """Writes nothing before `start`. `labels`: people's labels; None: nothing."""
        self.counts = ArchiveCounts()
        self._clock, self._labels = clock, labels or NoLabels()
        self._archive = self._built(config, first=True)

    def start(self) -> None:
        """Starts the thread that writes."""
        if self._archive is not None:
            start_thread("archive", self._archive.run, vital=False)

    def prepare(self, config: ArchiveConfig, undo: ExitStack) -> Archive | None:
        """A running archive of another configuration, for `adopt`. `undo`: gets what ends it."""
        archive = self._built(config, first=False)
        if archive is not None:
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

    def keep(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """Keeps the frames if the policy has this verdict. Never waits.

        frames: the one that the verdict shows, then the part's others in order of capture.
        """
        archive = self._archive
        if archive is not None:
            archive.keep(frames, verdict)

    @property
    def archive(self) -> Archive | None:
        """The kept pictures; None: `archive.enabled` is false."""
        return self._archive

    def faults(self) -> list[str]:
        """Present faults of the evidence, a sentence each."""
        archive = self._archive
        return [] if archive is None else archive.faults()

    def close(self) -> None:
        """Asks the thread to end."""
        if self._archive is not None:
            self._archive.close()

    def join(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for the thread."""
        if self._archive is not None:
            self._archive.join(timeout)

    def _built(self, config: ArchiveConfig, *, first: bool) -> Archive | None:
        if not config.enabled:
            return None
        return Archive(config, self._clock, self._labels, first=first, counts=self.counts)

"""The archive that runs now, or none. A reload of config.yaml replaces it."""

from edge.config import ArchiveConfig
from edge.core.frame import Frame
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.storage.archive import Archive


class Evidence:
    """Pictures of verdicts, kept where `archive.enabled` is true."""

    def __init__(self, config: ArchiveConfig) -> None:
        """Nothing is written before `start`."""
        self._archive = Archive(config) if config.enabled else None

    def start(self) -> None:
        """Starts the thread that writes."""
        if self._archive is not None:
            start_thread("archive", self._archive.run)

    def adopt(self, config: ArchiveConfig) -> None:
        """Replaces the archive; the old one writes what it has and ends."""
        self.close()
        self._archive = Archive(config) if config.enabled else None
        self.start()

    def keep(self, frame: Frame, verdict: Verdict) -> None:
        """May keep a picture, as `archive.keep` says. Never waits."""
        archive = self._archive
        if archive is not None:
            archive.keep(frame, verdict)

    @property
    def archive(self) -> Archive | None:
        """Where kept pictures are found; None when none are kept."""
        return self._archive

    def close(self) -> None:
        """Asks the thread to end."""
        if self._archive is not None:
            self._archive.close()

    def join(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for the thread."""
        if self._archive is not None:
            self._archive.join(timeout)

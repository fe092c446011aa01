"""An image archive for tests, filled on one thread."""

from pathlib import Path

from edge.config import ArchiveConfig
from edge.core.frame import Frame
from edge.core.verdict import Verdict
from edge.storage.archive import Archive


def archive(folder: Path, **options: object) -> Archive:
    """An archive that keeps the verdicts fail and review."""
    return Archive(ArchiveConfig.read({"enabled": True, "path": str(folder), **options}))


def keep(target: Archive, frames: list[tuple[Frame, Verdict]]) -> None:
    """Archives the frames one after the other and waits for the end."""
    for frame, verdict in frames:
        target.keep(frame, verdict)
    target.close()
    target.run()

"""A picture archive, and how to fill it on one thread."""

from pathlib import Path

from edge.config import ArchiveConfig
from edge.core.frame import Frame
from edge.core.verdict import Verdict
from edge.storage.archive import Archive


def archive(folder: Path, **options: object) -> Archive:
    """An archive that keeps fail and review."""
    return Archive(ArchiveConfig.read({"enabled": True, "path": str(folder), **options}))


def keep(kept: Archive, frames: list[tuple[Frame, Verdict]]) -> None:
    """Keeps frame by frame, as a thread that is never behind would."""
    for shown, judged in frames:
        kept.keep(shown, judged)
    kept.close()
    kept.run()

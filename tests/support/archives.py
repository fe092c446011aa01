"""An image archive for tests, filled on one thread."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.config import ArchiveConfig
from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.verdict import Verdict
from edge.storage.evidence.archive import Archive


class Labels:
    """Labelled verdicts that were not exported, by id."""

    def __init__(self, *ids: str) -> None:
        self.ids = set(ids)

    def protected(self, verdict_id: str) -> bool:
        """Whether it is one of them."""
        return verdict_id in self.ids


def archive(
    folder: Path,
    *,
    labels: Labels | None = None,
    clock: Clock | None = None,
    parts: dict[str, Any] | None = None,
    **options: object,
) -> Archive:
    """An archive that keeps the verdicts fail and review.

    parts: keyword arguments of `Archive`.
    options: of config.yaml.
    """
    config = ArchiveConfig.read({"enabled": True, "path": str(folder), "min_free_mb": 0, **options})
    return Archive(config, clock or Clock(), labels or Labels(), **(parts or {}))


def keep(target: Archive, frames: Sequence[tuple[Frame | Sequence[Frame], Verdict]]) -> None:
    """Archives the frames one after the other and waits for the end."""
    for frame, verdict in frames:
        target.keep([frame] if isinstance(frame, Frame) else frame, verdict)
    target.close()
    target.run()

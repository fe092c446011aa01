"""An open outbox store."""

from pathlib import Path

from edge.core.clock import Clock
from edge.storage.outbox.store import OutboxStore


def opened(path: Path) -> OutboxStore:
    """The open store of a file."""
    return OutboxStore(path, 64 * 2**20, 86400.0, Clock())

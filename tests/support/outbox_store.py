"""An open outbox store."""

from pathlib import Path

from edge.delivery.store import Store
from edge.environment import Environment


def opened(path: Path) -> Store:
    """The store of a file."""
    return Store(path, 64 * 2**20, 86400.0, Environment())

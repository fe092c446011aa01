"""The daemon: `composition` builds its components, `lifecycle` starts and stops them."""

from edge.daemon.lifecycle import Daemon

__all__ = ["Daemon"]

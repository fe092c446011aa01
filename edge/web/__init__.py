"""The HTTP server. Its packages are optional: import this package only when it is enabled."""

from edge.web.server import WebServer

__all__ = ["WebServer"]

"""HTTP: the local socket. The server on a port is `edge.web.server`, whose packages are optional:
import that module only when it is enabled."""

from edge.web.local_socket import LocalSocket

__all__ = ["LocalSocket"]

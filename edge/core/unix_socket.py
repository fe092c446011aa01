"""Unix sockets in the file system: listening at a path, and connecting to one.

The kernel's address has 107 bytes. Both sides open the socket's folder and name it by its file
descriptor, so that the path may be longer.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.core.errors import RefusedError


@contextmanager
def _address(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A connection to who listens at `path`. Raises OSError."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        client.settimeout(timeout_s)
        with _address(path) as address:
            client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def listen(path: Path, mode: int) -> socket.socket:
    """A socket that listens at `path` with these permissions. It replaces a socket
    without a listener. Raises RefusedError."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path)
        with _address(path) as address:
            server.bind(address)
            Path(address).chmod(mode)  # before it listens: until then nobody gets in
            server.listen()
    except OSError as error:
        server.close()
        raise RefusedError(
            f"{path}: cannot be made ({error.strerror}); make room, or check the folder's owner"
        ) from error
    except BaseException:
        server.close()
        raise
    return server


def _make_room(path: Path) -> None:
    """Removes the socket of a process that was killed."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise RefusedError(f"{path}: is no socket of edge-inspect and stays as it is; move it away")
    try:
        connect(path, 1.0).close()
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except TimeoutError:
        pass  # a process that hangs still listens
    raise RefusedError(f"{path}: another process answers there; end it")

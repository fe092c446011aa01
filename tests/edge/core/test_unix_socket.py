"""Sockets in the file system."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.core.errors import RefusedError
from edge.core.unix_socket import connect, listen


def test_whoever_may_write_connects(tmp_path: Path) -> None:
    """The permissions are those that were asked for, whatever the umask."""
    before = os.umask(0o077)
    try:
        server = listen(tmp_path / "api.sock", 0o660)
    finally:
        os.umask(before)
    with server, connect(tmp_path / "api.sock", 5) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
    assert stat.S_IMODE((tmp_path / "api.sock").stat().st_mode) == 0o660


def test_a_path_longer_than_an_address(tmp_path: Path) -> None:
    """The kernel's address has 107 bytes; the folder may be deeper."""
    path = tmp_path.joinpath(*["a" * 50] * 4) / "api.sock"
    assert len(str(path)) > 200
    with listen(path, 0o600), connect(path, 5):
        assert path.is_socket()


def test_the_socket_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    """Nobody listens there any more."""
    path = tmp_path / "api.sock"
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom edge.core.unix_socket import listen\n"
        "kept = listen(Path(sys.argv[1]), 0o660)\nprint('ready', flush=True)\ntime.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert lines.readline() == "ready\n"
        with pytest.raises(RefusedError, match="another process answers there; end it"):
            listen(path, 0o660)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert path.is_socket()
    with listen(path, 0o660), connect(path, 5):
        pass


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
def test_a_foreign_file_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    """It is refused with the fix."""
    path, other = tmp_path / "api.sock", tmp_path / "other"
    other.write_text("mine")
    make: dict[str, Callable[[], object]] = {
        "file": lambda: path.write_text("mine"),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(other),
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    before = path.lstat()
    with pytest.raises(RefusedError, match="is no socket of edge-inspect and stays as it is"):
        listen(path, 0o660)
    assert path.lstat() == before
    assert other.read_text() == "mine"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """One sentence with the path and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match=r"api\.sock: cannot be made \("):
        listen(tmp_path / "file" / "api.sock", 0o660)


def test_nobody_listens(tmp_path: Path) -> None:
    """An OSError, as for any socket."""
    with pytest.raises(FileNotFoundError):
        connect(tmp_path / "api.sock", 1)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "api.sock"))
    left.close()
    with pytest.raises(ConnectionRefusedError):
        connect(tmp_path / "api.sock", 1)

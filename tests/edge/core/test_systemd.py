"""sd_notify against a real socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.systemd import SystemdNotifier


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket like systemd's, in the file system or the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as received:
        if request.param == "path":
            address = variable = str(tmp_path / "notify")
        else:
            address, variable = f"\0edge-inspect-{tmp_path}", f"@edge-inspect-{tmp_path}"
        received.bind(address)
        received.settimeout(5)
        yield received, variable


def test_every_message_arrives_as_its_datagram(listener: tuple[socket.socket, str]) -> None:
    """READY, STATUS, WATCHDOG and STOPPING each arrive as systemd reads them."""
    received, address = listener
    notifier = SystemdNotifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
    notifier.ready()
    notifier.status("cameras: top live")
    notifier.watchdog()
    notifier.stopping()
    assert [received.recv(200) for _ in range(4)] == [
        b"READY=1",
        b"STATUS=cameras: top live",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]
    assert notifier.watchdog_s == 30


@pytest.mark.slow
def test_a_socket_without_a_reader_blocks_only_until_the_timeout(
    listener: tuple[socket.socket, str],
) -> None:
    """When the socket's queue is full, a message is dropped after the timeout."""
    received, address = listener
    notifier = SystemdNotifier({"NOTIFY_SOCKET": address}, timeout_s=0.05)
    most = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    for _ in range(most + 20):
        notifier.watchdog()
    assert received.recv(200) == b"WATCHDOG=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/no/such"}])
def test_without_systemd_nothing_happens(environ: dict[str, str]) -> None:
    """Without systemd, or after its end, notifying does nothing."""
    notifier = SystemdNotifier(environ)
    notifier.ready()
    notifier.watchdog()
    assert notifier.watchdog_s is None


def test_garbled_watchdog_is_none() -> None:
    """A watchdog time that is no number counts as none."""
    assert SystemdNotifier({"WATCHDOG_USEC": "soon"}).watchdog_s is None

"""Notifies systemd of READY, STATUS, WATCHDOG and STOPPING (the sd_notify protocol)."""

import os
import socket
import time
from collections.abc import Mapping

from edge.core.text import one_line

_TIMEOUT_S = 1.0  # a full socket must not block the thread that notifies


class SystemdNotifier:
    """Sends to the socket that systemd names. Without systemd it does nothing."""

    def __init__(
        self, environ: Mapping[str, str] = os.environ, *, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """Drops a message when the socket blocks for `timeout_s` seconds."""
        self._timeout_s = timeout_s
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if usec.isdigit() else None

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, line: str) -> None:
        """Sets the line that `systemctl status` shows."""
        self._send(f"STATUS={one_line(line)}")

    def watchdog(self) -> None:
        """Capture, inspection and delivery have made progress."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """The start continues: systemd waits at least `seconds` from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
                to.settimeout(self._timeout_s)
                to.sendto(message.encode(), self._address)
        except OSError:
            return  # a missing systemd must not stop the daemon

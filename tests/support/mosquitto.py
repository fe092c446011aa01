"""A real mosquitto on a free loopback port, which the tests may kill."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

_START_S = 20.0
_TRIES = 5


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def mosquitto_program() -> str:
    """The program. Skips the test when it is not installed; fails under CI."""
    found = shutil.which(
        "mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    )
    if found is None:
        reason = "mosquitto is not installed; run: sudo apt-get install mosquitto"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (CI may skip no test)")
        pytest.skip(reason)
    return found


class Mosquitto:
    """Writes its queues to disk at every change, so that they survive `kill -9`. It keeps all
    messages for a subscriber that is away."""

    def __init__(self, folder: Path, *lines: str) -> None:
        """Does not start it. `lines` are added to its configuration."""
        self._program = mosquitto_program()
        self._folder = folder
        self._lines = lines
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Starts it, and waits until it accepts connections. A restart uses the same port."""
        first = self._process is None
        for _ in range(_TRIES):
            if self._try_to_start():
                return
            if first:
                self.port = free_port()  # another program took the port
        pytest.fail(f"mosquitto does not start: {self.log}")

    def kill(self) -> None:
        """`kill -9`."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(_START_S)

    def freeze(self) -> None:
        """Stops the process; the kernel keeps its connections."""
        self._signal(signal.SIGSTOP)

    def reload(self) -> None:
        """Makes it read its users and its ACL again."""
        self._signal(signal.SIGHUP)

    def thaw(self) -> None:
        """Continues the process after `freeze`."""
        self._signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        """Its log."""
        path = self._folder / "mosquitto.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def close(self) -> None:
        """Kills it if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _try_to_start(self) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {self._folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            *user,
            *(self._lines or ("allow_anonymous true",)),
        ]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        ports = [int(line.split()[1]) for line in lines if line.startswith("listener ")]
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if all(map(_listens, ports)):
                return self._process.poll() is None
            time.sleep(0.01)
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True

"""Starts the broker of the bench: mosquitto, or else the embedded broker in a separate process, so
that its CPU time does not count as the daemon's."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import EXIT_DONE, MissingPartError, RefusedError

_START_S = 20.0
_TRIES = 5
_POLL_S = 0.02
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker; `name` is for the report."""

    name: str
    port: int


def mosquitto_program() -> str | None:
    """The path of mosquitto. Debian installs it in /usr/sbin, which is not on every PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS])
    return shutil.which("mosquitto", path=path)


@contextlib.contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """A broker on a free loopback port, until the context ends.

    Raises MissingPartError when no broker is installed, RefusedError when it does not start.
    """
    program = mosquitto_program()
    if program is None and importlib.util.find_spec("amqtt") is None:
        raise MissingPartError(
            "bench: needs a broker, and none is installed; run: sudo apt-get install mosquitto"
        )
    name = "mosquitto" if program else "embedded (amqtt)"
    log = folder / "broker.log"
    for _ in range(_TRIES):
        port = free_port()
        command = (
            [program, "-c", str(_mosquitto_conf(folder, port))]
            if program
            else [sys.executable, "-m", __name__, str(port)]
        )
        with log.open("wb") as to:
            process = subprocess.Popen(command, stdout=to, stderr=to, start_new_session=True)
        try:
            if _listens_in_time(process, port):
                yield Broker(name, port)
                return
        finally:
            process.kill()  # it stores nothing
            process.wait()
    raise RefusedError(f"bench: {name} does not start: {log.read_text(errors='replace')[-500:]}")


def free_port() -> int:
    """A free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _mosquitto_conf(folder: Path, port: int) -> Path:
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence false",
        "max_queued_messages 0",
        *(
            ["user root"] if os.geteuid() == 0 else []
        ),  # else it changes to a user without permissions
    ]
    path = folder / "mosquitto.conf"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _listens_in_time(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process.poll() is None  # else another program has the port
        time.sleep(_POLL_S)
    return False


def _serve(port: int) -> int:
    """Runs the embedded broker until it is killed."""
    from edge.mqtt import build_embedded_broker

    broker = build_embedded_broker("127.0.0.1", port)
    broker.start()
    signal.pause()
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(_serve(int(sys.argv[1])))

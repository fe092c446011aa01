"""Starts, pauses and stops the real daemon as a child process on a configuration of the bench."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.core.errors import RefusedError
from edge_bench.listener import HealthSample, Listener
from edge_bench.process_tree import ProcessTree

POLL_S = 0.01
_STOP_S = 40.0
_LOG_LINES = 8
_STOPPED = re.compile(r"stopped: (\d+) verdicts stored, (\d+) acknowledged, (\d+) wait")


class DaemonProcess:
    """One life of the daemon. `started` is when it was started, monotonic seconds."""

    def __init__(
        self, config: Path, listener: Listener, module: str = "edge", notify: Path | None = None
    ) -> None:
        """Starts it. `listener` hears its health, and is closed with it; `module` is what Python
        runs; `notify` a socket to which it says READY."""
        self._log = config.with_name("daemon.log")
        environ = {key: value for key, value in os.environ.items() if key not in _LEFT_OUT}
        if notify is not None:
            environ["NOTIFY_SOCKET"] = str(notify)
        with self._log.open("wb") as log:
            self.started = time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, "run", "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,  # Ctrl-C is for the bench, which ends it
            )
        self.tree = ProcessTree(self._process.pid)
        self._listener = listener
        listener.listen(self.tree.cpu_s)

    @property
    def heard(self) -> list[HealthSample]:
        """Its `health` messages, in order."""
        return self._listener.heard

    def wait_for(self, condition: Callable[[], object], what: str, patience_s: float) -> None:
        """Until the condition holds. Raises RefusedError with the daemon's last words when it ends
        before, or when that takes too long."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if self._process.poll() is not None:
                raise RefusedError(f"bench: the daemon ended; its log ends:\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"bench: {what} did not come within {patience_s:g} s; its log ends:\n"
                    f"{self._last_words()}"
                )
            time.sleep(POLL_S)

    def pause(self) -> None:
        """Its process stands still until `resume`; those of cameras do not."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> tuple[int, int, int]:
        """SIGTERM. Returns how many verdicts it had stored, had acknowledged, and had waiting.
        Raises RefusedError when it does not end in order."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise RefusedError(
                f"bench: the daemon does not stop; its log ends:\n{self._last_words()}"
            ) from None
        found = _STOPPED.findall(self._text())
        if not found:
            raise RefusedError(f"bench: the daemon did not stop in order:\n{self._last_words()}")
        stored, acked, waiting = map(int, found[-1])
        return stored, acked, waiting

    def close(self) -> None:
        """Kills it; its camera processes die with it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listener.close()

    def _text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _last_words(self) -> str:
        return "\n".join(self._text().splitlines()[-_LOG_LINES:])


_LEFT_OUT = (  # of the environment: what systemd gave the bench, not the daemon; and what would
    # have it compile itself at each start: an installed package is compiled
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "RUNTIME_DIRECTORY"),
    "PYTHONDONTWRITEBYTECODE",
)


@contextlib.contextmanager
def outbox_folder(wanted: Path) -> Iterator[tuple[Path, bool]]:
    """A temporary folder on the disk of `wanted`, the configured outbox, so that an fsync costs
    what it costs there; and whether it is on that disk: not where this user must not write."""
    place = wanted.parent
    while not place.exists():
        place = place.parent
    there = os.access(place, os.W_OK)
    folder = Path(tempfile.mkdtemp(prefix="edge-inspect-bench-", dir=place if there else None))
    try:
        yield folder, there or folder.stat().st_dev == place.stat().st_dev
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ReadySocket:
    """Where systemd would hear that the daemon is up."""

    def __init__(self, path: Path) -> None:
        """Listens from here on; `path` is where."""
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))
        self._socket.settimeout(POLL_S)
        self.ready_at: float | None = None

    def heard(self) -> bool:
        """Whether READY has come; `ready_at` is then when, monotonic seconds."""
        with contextlib.suppress(TimeoutError):
            while self.ready_at is None:
                if b"READY=1" in self._socket.recv(4096):
                    self.ready_at = time.monotonic()
        return self.ready_at is not None

    def close(self) -> None:
        """Goes away."""
        self._socket.close()
        self.path.unlink(missing_ok=True)

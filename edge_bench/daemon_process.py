"""Starts, pauses and stops the daemon as a child process."""

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
    """One running daemon. `started` is its start time, monotonic seconds."""

    def __init__(
        self, config: Path, listener: Listener, module: str = "edge", notify: Path | None = None
    ) -> None:
        """Starts the daemon.

        - `listener`: receives its health messages, and is closed with it.
        - `module`: the Python module to run.
        - `notify`: the socket for READY, as NOTIFY_SOCKET.
        """
        self._log = config.with_name("daemon.log")
        environ = {key: value for key, value in os.environ.items() if key not in _REMOVED_VARIABLES}
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
                start_new_session=True,  # the bench handles Ctrl-C
            )
        self.tree = ProcessTree(self._process.pid)
        self._listener = listener
        listener.listen(self.tree.cpu_s)

    @property
    def health_samples(self) -> list[HealthSample]:
        """Its `health` messages, in order."""
        return self._listener.health_samples

    def wait_for(self, condition: Callable[[], object], what: str, timeout_s: float) -> None:
        """Waits for the condition.

        Raises RefusedError, with the end of the log, when the daemon ends or the timeout passes.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self._process.poll() is not None:
                raise RefusedError(f"bench: the daemon ended; its log ends:\n{self._log_end()}")
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"bench: {what} did not come within {timeout_s:g} s; its log ends:\n"
                    f"{self._log_end()}"
                )
            time.sleep(POLL_S)

    def pause(self) -> None:
        """Stops the main process until `resume`. Camera processes continue."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continues after `pause`."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> tuple[int, int, int]:
        """Sends SIGTERM and waits. Returns the counts of stored, acknowledged and waiting verdicts.

        Raises RefusedError when the daemon does not shut down cleanly.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise RefusedError(
                f"bench: the daemon does not stop; its log ends:\n{self._log_end()}"
            ) from None
        found = _STOPPED.findall(self._log_text())
        if not found:
            raise RefusedError(f"bench: the daemon did not shut down cleanly:\n{self._log_end()}")
        stored, acked, waiting = map(int, found[-1])
        return stored, acked, waiting

    def close(self) -> None:
        """Kills the daemon; its camera processes end with it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listener.close()

    def _log_text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _log_end(self) -> str:
        return "\n".join(self._log_text().splitlines()[-_LOG_LINES:])


# Variables of systemd belong to the bench. Without byte code, the daemon would compile itself at
# each start; an installed package is compiled.
_REMOVED_VARIABLES = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "RUNTIME_DIRECTORY"),
    "PYTHONDONTWRITEBYTECODE",
)


@contextlib.contextmanager
def outbox_folder(outbox: Path) -> Iterator[tuple[Path, bool]]:
    """A temporary folder on the disk of the configured outbox, and whether it is on that disk.

    The same disk gives the same cost of an fsync. Without write permission, the default folder for
    temporary files is used.
    """
    parent = outbox.parent
    while not parent.exists():
        parent = parent.parent
    writable = os.access(parent, os.W_OK)
    folder = Path(tempfile.mkdtemp(prefix="edge-inspect-bench-", dir=parent if writable else None))
    try:
        yield folder, writable or folder.stat().st_dev == parent.stat().st_dev
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ReadySocket:
    """A notify socket, as systemd provides it. The daemon sends READY to it."""

    def __init__(self, path: Path) -> None:
        """Binds the socket at `path`."""
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))
        self._socket.settimeout(POLL_S)
        self.ready_at: float | None = None

    def is_ready(self) -> bool:
        """Whether READY has arrived. `ready_at` is then its time, monotonic seconds."""
        with contextlib.suppress(TimeoutError):
            while self.ready_at is None:
                if b"READY=1" in self._socket.recv(4096):
                    self.ready_at = time.monotonic()
        return self.ready_at is not None

    def close(self) -> None:
        """Closes and removes the socket."""
        self._socket.close()
        self.path.unlink(missing_ok=True)

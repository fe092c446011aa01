"""Limits the log when the service cannot start: reports the error once, then waits for a fix.

systemd restarts the service without end (Restart=always). A new error is logged, and the process
ends at once, so that neither a boot nor `systemctl restart` hangs. The same error again is not
logged: the process waits until a file changes, at most five minutes, and `systemctl status` shows
the error. In a terminal none of this happens.
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError
from edge.core.systemd import SystemdNotifier

log = logging.getLogger(__name__)

WAIT_S = 300.0
_POLL_S = 1.0
_EXTEND_S = 30.0
_STATUS_CHARS = 1000

Signature = tuple[tuple[str, int, int], ...]


class StartupGuard:
    """Decides how a daemon that cannot start ends."""

    def __init__(self, folder: Path, notifier: SystemdNotifier, clock: Clock) -> None:
        """`folder` survives a restart of the service, but not of the box."""
        self._last_error = folder / "refused"
        self._notifier, self._clock = notifier, clock

    @classmethod
    def under_systemd(cls, environ: Mapping[str, str] = os.environ) -> "StartupGuard | None":
        """The guard of this service; None in a terminal."""
        folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        if not folder or not environ.get("NOTIFY_SOCKET"):
            return None
        return cls(Path(folder), SystemdNotifier(environ), Clock())

    def refuse(self, error: EdgeInspectError, folders: Iterable[Path], stop: StopEvent) -> None:
        """Reports a new error and returns at once. For the same error again it waits until a file
        in `folders` changes, `stop` is set, or five minutes have passed."""
        line = "does not start: " + " | ".join(str(error).splitlines())
        self._notifier.status(line[:_STATUS_CHARS])
        if self._is_new(str(error)):
            for sentence in str(error).splitlines():
                log.error("%s", sentence)
            return
        log.info("still does not start; retries when a file changes, or in five minutes")
        self._wait(list(folders), stop)

    def _wait(self, folders: list[Path], stop: StopEvent) -> None:
        before = _signature(folders)
        end = self._clock.tick() + WAIT_S
        while self._clock.tick() < end and _signature(folders) == before:
            self._notifier.extend(_EXTEND_S)
            if stop.wait(_POLL_S):
                return

    def _is_new(self, sentence: str) -> bool:
        """Whether the last error was a different one, or is old. Stores this one."""
        digest = hashlib.sha256(sentence.encode()).hexdigest()
        try:
            age_s = abs(self._clock.now() - self._last_error.stat().st_mtime)
            known = self._last_error.read_text(encoding="utf-8") == digest and age_s < 3 * WAIT_S
        except (OSError, UnicodeDecodeError):
            known = False
        try:
            self._last_error.write_text(digest, encoding="utf-8")
            os.utime(self._last_error, (self._clock.now(),) * 2)
        except OSError as error:  # then each start logs the error
            log.debug("%s: cannot be written (%s)", self._last_error, error.strerror)
        return not known


def _signature(folders: list[Path]) -> Signature:
    """Differs after a file in one of the folders was added, removed or written."""
    files = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    stat = entry.stat()  # follows symbolic links
                    files.append((entry.path, stat.st_mtime_ns, stat.st_size))
        except OSError:
            continue
    return tuple(sorted(files))

"""What the service does when it cannot start: it says why once, then waits for the mend.

systemd starts it again and again (Restart=always). The first time a sentence comes up it is logged
and the process ends at once, so that neither a boot nor `systemctl restart` hangs. When the same
sentence comes up again, the process stays quiet and waits until a file changes, at most five
minutes; `systemctl status` shows the sentence all the while. In a terminal none of this happens.
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
    """Stands between systemd and a daemon that cannot start."""

    def __init__(self, memory: Path, notifier: SystemdNotifier, environment: Clock) -> None:
        """`memory` is a folder that outlives a restart of the service, but not one of the box."""
        self._memory = memory / "refused"
        self._notifier, self._environment = notifier, environment

    @classmethod
    def under_systemd(cls, environ: Mapping[str, str] = os.environ) -> "StartupGuard | None":
        """The doorstep of this service, or None in a terminal."""
        folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        if not folder or not environ.get("NOTIFY_SOCKET"):
            return None
        return cls(Path(folder), SystemdNotifier(environ), Clock())

    def refuse(self, error: EdgeInspectError, folders: Iterable[Path], stop: StopEvent) -> None:
        """Says why, and returns at once when that is news; else when something in `folders` has
        changed, after five minutes, or when `stop` is set."""
        line = "does not start: " + " | ".join(str(error).splitlines())
        self._notifier.status(line[:_STATUS_CHARS])
        if self._is_news(str(error)):
            for sentence in str(error).splitlines():
                log.error("%s", sentence)
            return
        log.info("still does not start; waits for a change of the files, then tries again")
        self._wait(list(folders), stop)

    def _wait(self, folders: list[Path], stop: StopEvent) -> None:
        before = _signature(folders)
        end = self._environment.tick() + WAIT_S
        while self._environment.tick() < end and _signature(folders) == before:
            self._notifier.extend(_EXTEND_S)
            if stop.wait(_POLL_S):
                return

    def _is_news(self, sentence: str) -> bool:
        """Whether the last refusal was another one, or long ago. Remembers this one."""
        digest = hashlib.sha256(sentence.encode()).hexdigest()
        try:
            age_s = abs(self._environment.now() - self._memory.stat().st_mtime)
            known = self._memory.read_text(encoding="utf-8") == digest and age_s < 3 * WAIT_S
        except (OSError, UnicodeDecodeError):
            known = False
        try:
            self._memory.write_text(digest, encoding="utf-8")
            os.utime(self._memory, (self._environment.now(),) * 2)
        except OSError as error:  # then each try says it: too often is better than never
            log.debug("%s: cannot be written (%s)", self._memory, error.strerror)
        return not known


def _signature(folders: list[Path]) -> Signature:
    """Changes when a file in one of the folders comes, goes or is written."""
    seen = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    stat = entry.stat()  # of what a symbolic link points to
                    seen.append((entry.path, stat.st_mtime_ns, stat.st_size))
        except OSError:
            continue
    return tuple(sorted(seen))

"""A box with a live camera, its broker and a subscriber, for tests with scripted faults."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import Daemon, Plant, faults
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

_MORE = 25  # verdicts that must come while a fault lasts


@dataclass
class FaultScenario:
    """A box with a live camera, its broker, and a subscriber.

    wrap: changes the command of the daemon.
    by_proxy: a proxy stands between box and broker.
    """

    folder: Path
    outbox: Path | None = None
    cameras: Sequence[dict[str, Any]] = ()
    wrap: Callable[[list[str]], list[str]] = list
    by_proxy: bool = False

    def __enter__(self) -> "FaultScenario":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker = Mosquitto(self.folder / "broker")
        self.broker.start()
        self.proxy = Proxy(self.broker.port) if self.by_proxy else None
        self.plant = Plant(self.broker.port)
        self.web = free_port()
        camera = {"id": "top", "source": "test:", "fps": 20, "width": 64, "height": 48}
        values: dict[str, Any] = {
            "station": "line1",
            "model": {"path": str(MODELS / "redness.tflite")},
            "cameras": [camera],
            "decision": {"deadline_ms": 60_000},
            "mqtt": {"port": self.proxy.port if self.proxy else self.broker.port},
            "web": {"enabled": True, "port": self.web},
            "health": {"interval_s": 0.5},
        }
        if self.outbox is not None:
            values["outbox"] = {"path": str(self.outbox)}
        self.daemon = Daemon(self.folder, values)
        if self.outbox is not None:
            self.daemon.outbox = self.outbox
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.close()
        self.plant.close()
        if self.proxy is not None:
            self.proxy.close()
        self.broker.close()

    def start(self) -> None:
        """Starts the daemon; returns when verdicts come."""
        command = [sys.executable, "-m", "edge", "run", "-c", str(self.daemon.config)]
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon.process = subprocess.Popen(self.wrap(command), stderr=log)
        self.more(5)

    def more(self, count: int = _MORE) -> None:
        """Waits for `count` more verdicts."""
        before = len(self.plant.bodies("result"))

        def came() -> bool:
            self._alive()
            return len(self.plant.bodies("result")) >= before + count

        wait_until(came, f"{count} more verdicts")

    def _alive(self) -> None:
        if self.daemon.process is not None and self.daemon.process.poll() is not None:
            code = self.daemon.process.returncode
            raise AssertionError(f"the daemon has ended with {code}:\n{self.daemon.log}")

    def wait_for_fault(self, words: str) -> str:
        """Waits until `health` has a fault with these words; returns it."""
        found: list[str] = []

        def there() -> bool:
            self._alive()
            found[:] = [text for text in self.faults() if words in text]
            return bool(found)

        wait_until(there, f"a fault with {words!r}")
        return found[0]

    def wait_for_no_fault(self, words: str) -> None:
        """Waits until no fault has these words."""
        wait_until(lambda: not any(words in text for text in self.faults()), f"no fault {words!r}")

    def faults(self) -> list[str]:
        """The present faults of /healthz."""
        return faults(self.web)

    def logged(self, words: str) -> str:
        """The first line of the log with these words."""
        return next(line for line in self.daemon.log.splitlines() if words in line)[9:]

    def lost(self) -> int:
        """Stops the daemon; returns how many stored verdicts are lost."""
        if self.daemon.process is not None and self.daemon.process.poll() is None:
            self.daemon.stop()
        last = self.daemon.last_seq()
        waiting = self.daemon.waiting()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(self.plant.results()) + waiting >= last, "the last", 20)
        issued = set(range(1, last + 1))
        skipped = _skipped(self.daemon.log)
        return len(issued - self.plant.results().keys() - skipped) - waiting


def _skipped(log: str) -> set[int]:
    """The numbers that the box skips after a kill, by its log."""
    found: set[int] = set()
    for first, last in re.findall(r"the numbers (\d+) to (\d+) are not used", log):
        found |= set(range(int(first), int(last) + 1))
    return found

"""Starts the daemon again and again in this process; each time another step fails.

    python -m tests.support.faulty_start FOLDER COUNT

A step is the call of a function of edge, or the start of a thread, on the main thread, while the
daemon is built and started. The last start is a good one again. Prints a JSON line for each: the
step that failed, and what the start has left: threads, listening ports and pins.
"""

import json
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

os.environ.setdefault("GPIOZERO_PIN_FACTORY", "mock")

import psutil
from gpiozero import Device

import edge.daemon.lifecycle
from edge.capture import CameraFactory, ForkServerClient
from edge.config import load_config
from edge.core.threads import WATCH
from tests.support.faulty_daemon import Counter


def attempt(folder: Path, number: int) -> Counter:
    """Builds and starts the daemon; step `number` fails. When none fails, the daemon is stopped."""
    counter = Counter(number, until="daemon/lifecycle.py Daemon._shut_down")
    path = folder / "config.yaml"
    config = load_config(path)

    def listen(on_stop: Any, *_: object) -> None:
        """Instead of signals: as if SIGTERM came once all has started."""
        sys.setprofile(None)
        on_stop()
        sys.setprofile(counter)

    edge.daemon.lifecycle.listen_for_signals = listen  # type: ignore[attr-defined,assignment]
    with ForkServerClient() as fork_server:
        sys.setprofile(counter)
        try:
            edge.daemon.Daemon(config, open_camera=CameraFactory(fork_server).open, path=path).run()
        except Exception as error:  # noqa: BLE001  the injected one, or what became of it
            sys.stderr.write(f"{counter.names[-1]}: {type(error).__name__}: {error}\n")
        finally:
            sys.setprofile(None)
    return counter


def left_over() -> dict[str, list[Any]]:
    """What runs or is open in this process."""
    factory: Any = Device.pin_factory
    pins = [] if factory is None else [n for n in range(28) if factory.pin(n).function == "output"]
    connections = psutil.Process().net_connections()
    # waitress starts its threads in one call: when one cannot start, no handle ends the others,
    # and the process that failed to start ends with them
    ours = [t for t in threading.enumerate() if not t.name.startswith("waitress-")]
    return {
        "threads": [t.name for t in ours if t is not threading.main_thread()],
        "ports": [c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN],
        "ended": [fault.name for fault in WATCH.faults()],
        "pins": [n for n in pins if factory.pin(n).state],
    }


def _report(step: str | None) -> None:
    sys.stdout.write(json.dumps({"step": step, **left_over()}) + "\n")
    sys.stdout.flush()


def main() -> int:
    """The steps of a whole start first, then the failures."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    steps = attempt(folder, 0).names
    first: dict[str, int] = {}
    for number, name in enumerate(steps, 1):
        first.setdefault(name, number)
    numbers = list(first.values())
    random.Random(7).shuffle(numbers)
    _report(None)
    for number in [*numbers[:count], 0]:
        counter = attempt(folder, number)
        _report(counter.names[-1] if number else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Each thread of the daemon is killed in turn, found by asking the process for its threads. The
fault is in `health` within ten seconds, and verdicts go on."""

import contextlib
import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.cli.records_client import RecordsClient
from tests.support.model_versions import install_with_shadow
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import BASE, Plant, draw_many
from tests.support.process import FaultyDaemon
from tests.support.waiting import wait_until
from tests.system.conftest import MakePlant

pytestmark = pytest.mark.broker

NOTICED_S = 10.0
PAUSE_S = 0.1
# waitress catches a BaseException of a request itself, and its thread goes on
SPARED = ("MainThread", "the test's", "waitress-")


def values_for(folder: Path, mqtt: dict[str, Any], web: int) -> dict[str, Any]:
    """A configuration that needs every thread."""
    small = {"source": "test:", "width": 64, "height": 48, "fps": 10}
    return {
        "station": "line1",
        "model": {"path": "redness", "workers": 2},
        "models": {"path": str(install_with_shadow(folder))},
        "cameras": [
            {"id": "top", **small},
            {"id": "timed", **small, "trigger": {"kind": "interval", "every_s": 0.2}},
            {"id": "files", "source": f"replay:{folder / 'parts'}", "rate": 5, "loop": 100_000},
        ],
        "decision": {"deadline_ms": 60_000, "outputs": {"alive": 6}},
        "mqtt": {**mqtt, "snapshots": {"send": ["fail"]}, "allow_requests": ["reload", "recipe"]},
        "archive": {"enabled": True, "path": str(folder / "kept"), "keep": ["fail", "pass"]},
        "outbox": {"path": str(folder / "state" / "outbox.db")},
        "recipes": [{"number": 7, "name": "cap-blue"}],
        "web": {"enabled": True, "port": web},
        "health": {"interval_s": 5},
    }


class Box:
    """A running daemon whose threads a test may kill."""

    def __init__(self, folder: Path, values: dict[str, Any], plant: Plant | None) -> None:
        draw_many(folder / "parts", 20)
        self.daemon = FaultyDaemon(folder, "threads")
        self.daemon.write("config.yaml", yaml.safe_dump(values))
        self.plant, self.web = plant, values["web"]["port"]
        self.daemon.start()

    def report(self) -> bool:
        """Whether /metrics answers."""
        url = f"http://127.0.0.1:{self.web}/metrics"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as done:
            return bool(done.read())
        return False

    def nudge(self) -> None:
        """Gives every idle thread something to do."""
        assert self.daemon.process is not None
        self.daemon.process.send_signal(signal.SIGHUP)
        self.report()
        outbox = self.daemon.outbox
        RecordsClient(outbox.with_name("api.sock")).serves(outbox)
        if self.plant is not None:
            body = json.dumps({"transaction": str(time.monotonic()), "camera": "top"}).encode()
            self.plant.publish(f"{BASE}/request/snapshot", body)
            self.plant.publish(f"{BASE}/request/history", body)
        for camera in ("top", "timed", "files"):
            self._choose(camera)

    def _choose(self, camera: str) -> None:
        """Without waiting for the answer, which a dead thread would not give."""
        body = json.dumps({"camera": camera, "recipe": 7}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}/recipe", body)
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=0.2).close()

    def kill(self, name: str) -> float:
        """Kills a thread. Returns the seconds until `health` over MQTT names it."""
        killed = len(self.daemon.faults())
        self.daemon.write("fault", name)

        def done() -> bool:
            self.nudge()
            return len(self.daemon.faults()) > killed

        wait_until(done, f"{name} is killed", poll_s=PAUSE_S)

        def noticed() -> bool:
            faults = [f for body in self.healths()[-1:] for f in body["faults"]]
            return any(fault.startswith(f"thread {name}:") for fault in faults)

        return wait_until(noticed, f"{name} in health", poll_s=PAUSE_S)

    def healths(self) -> list[dict[str, Any]]:
        """The bodies of `health` so far."""
        assert self.plant is not None
        return self.plant.bodies("health")


@pytest.fixture
def box(tmp_path: Path, broker: Mosquitto, make_plant: MakePlant) -> Iterator[Box]:
    """With all that config.yaml can ask for, and an external broker."""
    plant = make_plant()
    web = free_port()
    values = values_for(tmp_path, {"port": broker.port}, web)
    made = Box(tmp_path, values, plant)
    plant.wait_for_results(20)
    wait_until(lambda: made.healths() and made.report(), "health over both ways")
    made.nudge()
    wait_until(lambda: plant.pictures, "a picture, so that its connection has a thread")
    yield made
    made.daemon.close()


def test_each_thread_that_is_killed_is_noticed(box: Box) -> None:
    """By a BaseException at a call that it makes. Nothing in the code is listed here."""
    names = {name for name in box.daemon.threads() if not name.startswith(SPARED)}
    wanted = {"camera-top", "inspection", "inspection-2", "outbox", "publisher", "mqtt", "pictures"}
    wanted |= {"archive", "trigger-timed", "outputs", "web", "reload", "supervisor", "signals"}
    wanted |= {"api", "shadow"}
    assert wanted <= names
    took_s = {name: box.kill(name) for name in sorted(names)}
    print({name: round(seconds, 1) for name, seconds in took_s.items()})  # noqa: T201  with -s
    late = {name: seconds for name, seconds in took_s.items() if seconds > NOTICED_S}
    assert not late
    assert box.plant is not None
    before = len(box.plant.bodies("result"))
    wait_until(
        lambda: (
            {b["camera"] for b in box.plant.bodies("result")[before:]} == {"top", "timed", "files"}  # type: ignore[union-attr]
        ),
        "verdicts of every camera",
    )
    assert box.daemon.stop() == 0
    stored = box.daemon.last_seq()
    assert set(box.plant.wait_for_results(stored)) == set(range(1, stored + 1))

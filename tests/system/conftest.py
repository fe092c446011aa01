"""Builds a plant for each test: a real broker, daemon and subscriber, closed at its end."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon, Plant

MakeDaemon = Callable[..., Daemon]
MakePlant = Callable[..., Plant]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running mosquitto; a test may kill and start it."""
    running = Mosquitto(tmp_path / "broker")
    running.start()
    yield running
    running.close()


@pytest.fixture
def make_daemon(tmp_path: Path, broker: Mosquitto, redness_model: Path) -> Iterator[MakeDaemon]:
    """`make_daemon("replay:PATH", rate=20)`: a daemon with one camera, not started."""
    made: list[Daemon] = []

    def make(source: str, mqtt: dict[str, Any] | None = None, **camera: Any) -> Daemon:
        sections = camera.pop("sections", {})
        values = {
            "station": "line1",
            "model": {"path": str(redness_model)},
            "cameras": [{"id": "top", "source": source, **camera}],
            "mqtt": {"port": broker.port, **(mqtt or {})},
            "health": {"interval_s": 0.5},
            # a loaded test machine is slow, and a late verdict would be an error
            "decision": {"deadline_ms": 60_000},
            **sections,
        }
        made.append(Daemon(tmp_path, values))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def make_plant(broker: Mosquitto) -> Iterator[MakePlant]:
    """`make_plant()`: a subscriber that has subscribed."""
    made: list[Plant] = []

    def make(*credentials: str, port: int | None = None) -> Plant:
        made.append(Plant(port or broker.port, *credentials))
        return made[-1]

    yield make
    for plant in made:
        plant.close()


@pytest.fixture
def mosquitto_users(tmp_path: Path) -> Path:
    """A password file of mosquitto: box with `right`, plant with `plant`."""
    users = tmp_path / "users"
    for name, word in (("box", "right"), ("plant", "plant")):
        create = [] if users.exists() else ["-c"]
        subprocess.run(["mosquitto_passwd", "-b", *create, str(users), name, word], check=True)
    return users


@pytest.fixture
def plant(make_plant: MakePlant) -> Plant:
    """A subscriber from the start of the test."""
    return make_plant()

"""`check` asks the broker as the daemon would."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config import Config
from edge.core.clock import Clock
from edge.core.errors import RefusedError
from edge.mqtt import check_broker
from edge.storage import OutboxStore, outbox_in_use
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import wait_until

Start = Callable[..., Config]


@pytest.fixture
def brokers() -> Iterator[list[Mosquitto]]:
    """The brokers that a test has started."""
    started: list[Mosquitto] = []
    yield started
    for broker in started:
        broker.close()


@pytest.fixture
def start(tmp_path: Path, brokers: list[Mosquitto]) -> Start:
    """Starts a mosquitto with lines of configuration; returns the box's configuration."""

    def make(*lines: str, version: str = "auto") -> Config:
        brokers.append(Mosquitto(tmp_path / "broker", "allow_anonymous true", *lines))
        brokers[-1].start()
        return Config.read(
            {
                "station": "line1",
                "model": {"path": "m.tflite"},
                "cameras": [{"id": "top", "source": "test:"}],
                "mqtt": {"port": brokers[-1].port, "version": version, "client_id": "box-7"},
            }
        )

    return make


@pytest.mark.parametrize(("daemon_runs", "client_id"), [(False, "box-7"), (True, "box-7-check")])
def test_it_asks_under_the_client_id_of_the_daemon(
    start: Start, brokers: list[Mosquitto], daemon_runs: bool, client_id: str
) -> None:
    """A broker that lets clients in by their id lets `check` in too. While the daemon runs, another
    id is used, so that it stays connected, and the answer says so."""
    answer = check_broker(start("log_type all"), daemon_runs=daemon_runs)
    wait_until(lambda: f" as {client_id} " in brokers[0].log, "the broker's log names the client")
    assert ("the running daemon uses 'box-7'" in answer) == daemon_runs


def test_the_reason_for_a_refusal_under_another_id_is_said(start: Start) -> None:
    """A refusal that may come from the other id names it."""
    config = start("clientid_prefixes box-8")
    with pytest.raises(RefusedError, match="asked under the client id 'box-7-check'"):
        check_broker(config, daemon_runs=True)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_broker_without_retained_messages_passes(start: Start, version: str) -> None:
    """It refuses the retained will; the daemon connects without."""
    config = start("retain_available false", version=version)
    assert f"MQTT {version}, without retained messages" in check_broker(config)


def test_an_outbox_says_whether_a_daemon_uses_it(tmp_path: Path) -> None:
    """From its opening to its closing."""
    path = tmp_path / "outbox.db"
    assert not outbox_in_use(path)
    store = OutboxStore(path, 2**20, 3600.0, Clock())
    assert outbox_in_use(path)
    store.close()
    assert not outbox_in_use(path)

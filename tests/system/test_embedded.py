"""A box without a broker: the daemon starts one, and verdicts wait for a subscriber."""

from pathlib import Path

import pytest

from tests.support.mosquitto import free_port
from tests.support.plant import draw_many
from tests.system.conftest import MakeDaemon, MakePlant


@pytest.mark.broker
def test_verdicts_wait_for_a_subscriber(
    make_daemon: MakeDaemon, make_plant: MakePlant, tmp_path: Path
) -> None:
    """Without a subscriber all verdicts stay in the outbox, also after a kill. The first subscriber
    gets all of them."""
    pytest.importorskip("amqtt", reason="amqtt is not installed; pip install '.[broker]'")
    draw_many(tmp_path / "parts", 25)
    port = free_port()
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", {"embedded": True, "port": port})
    for life in (1, 2):
        daemon.start()
        daemon.wait_for_log("connected to the broker, MQTT 3.1.1", times=life)
        daemon.wait_for_waiting(25 * life)
        if life == 1:
            daemon.kill()
    plant = make_plant(port=port)
    assert sorted(plant.wait_for_results(50)) == list(range(1, 51))
    daemon.wait_for_waiting(0)
    assert daemon.stop() == 0
    plant.close()

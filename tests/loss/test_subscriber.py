"""The subscriber counts every packet that the broker sent, even when its thread is behind."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.loss.subscriber import Subscriber
from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.broker
MANY = 50


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real one."""
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    yield broker
    broker.close()


class Slow(Subscriber):
    """Its thread is behind, as on a busy machine."""

    def receive(self, *arguments: object) -> None:
        time.sleep(0.004)
        super().receive(*arguments)  # type: ignore[arg-type]  # as they come


def test_it_catches_up_with_what_was_acknowledged(broker: Mosquitto) -> None:
    """When the broker has acknowledged a message it has written it to the plant, which has still to
    read it."""
    plant = Slow(broker.port, "inspection/#")
    box = paho.Client(CallbackAPIVersion.VERSION2)
    box.connect("127.0.0.1", broker.port)
    box.loop_start()
    try:
        for number in range(MANY):
            body = {"id": f"id{number}", "seq": number, "camera": "cam0", "replayed": False}
            sent = box.publish("inspection/line1/result", json.dumps(body), qos=1)
        sent.wait_for_publish(30.0)
        behind = len(plant.arrivals)
        plant.catch_up()
        assert behind < MANY == len(plant.arrivals)
        assert [arrival.seq for arrival in plant.arrivals] == list(range(MANY))
    finally:
        box.loop_stop()
        plant.close()

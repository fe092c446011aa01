"""An outbox that the released version has written opens, and its verdicts are delivered."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.compatibility.scenarios import (
    DaemonProcess,
    Listener,
    broker,
    draw,
)

pytestmark = pytest.mark.broker

# Written by commit e223966: three verdicts that wait for a broker, and the file of numbers.
RELEASED = Path(__file__).with_name("outbox_of_e223966")


def test_verdicts_of_the_released_version_are_delivered(tmp_path: Path) -> None:
    """Each waiting verdict arrives once and unchanged, and new verdicts count on."""
    for name in ("outbox.db", "outbox.db.numbers"):
        shutil.copy(RELEASED / name, tmp_path / name)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database:
        stored = [json.loads(body) for (body,) in database.execute("SELECT body FROM outbox")]
    assert [body["seq"] for body in stored] == [1, 2, 3]
    draw(tmp_path / "pictures" / "new.png", 10)
    with broker(tmp_path) as port:
        listener = Listener(port, MQTTProtocolVersion.MQTTv5)
        source = f"replay:{tmp_path / 'pictures'}"
        daemon = DaemonProcess(tmp_path, port, {"cameras": [{"id": "top", "source": source}]})
        listener.wait_for_count("result", 4)
        assert daemon.end() == 0
        results = listener.bodies("result")
        listener.close()
    delivered = [body for body in results if body["seq"] <= 3]
    assert sorted(delivered, key=lambda body: body["seq"]) == [
        {**body, "replayed": True} for body in stored
    ]
    (new,) = (body for body in results if body["seq"] > 3)
    assert new["part"] == "new.png"

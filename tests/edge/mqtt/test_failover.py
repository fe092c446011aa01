"""The order of brokers, and the detection of a second client with our identity."""

import json
import queue
import socket
import time
from itertools import chain, repeat
from pathlib import Path

import pytest

from edge.config import Config, MqttConfig
from edge.core.clock import Clock
from edge.mqtt.connection import PahoConnection
from edge.mqtt.events import Connected, Event, Lost, PubAck
from edge.mqtt.failover import BrokerFailover
from edge.mqtt.status import BirthAndWill, DuplicateClientDetector
from tests.edge.mqtt.conftest import Simulate
from tests.edge.mqtt.virtual_time import SESSION
from tests.support.fake_broker import FakeBroker
from tests.support.mosquitto import Mosquitto

OTHER = "0" * 32
STATUS = "inspection/line1/status"


def three() -> BrokerFailover:
    """a, b and c."""
    standby = [{"host": "b"}, {"host": "c", "port": 7}]
    return BrokerFailover(MqttConfig.read({"host": "a", "standby": standby, "version": "5"}))


def test_after_a_failure_comes_the_next() -> None:
    """Brokers are tried in the order of config.yaml; a pause is due when all were tried."""
    brokers = three()
    seen = []
    for _ in range(4):
        seen.append((brokers.current, brokers.advance(wrong_version=False)))
    assert seen == [
        (("a", 1883), False),
        (("b", 1883), False),
        (("c", 7), True),
        (("a", 1883), False),
    ]


def test_after_a_good_connection_the_first_is_preferred() -> None:
    """After the loss of a stable connection the first broker is tried."""
    brokers = three()
    brokers.advance(wrong_version=False)
    brokers.mark_stable()
    brokers.advance(wrong_version=False)
    assert str(brokers) == "a:1883"


def test_each_broker_is_tried_in_both_versions() -> None:
    """With version auto a broker that refuses 5 is tried with 3.1.1 before the next broker."""
    brokers = BrokerFailover(MqttConfig.read({"host": "a", "standby": [{"host": "b"}]}))
    seen = []
    for _ in range(4):
        seen.append((brokers.current[0], brokers.version))
        brokers.advance(wrong_version=True)
    assert seen == [("a", "5"), ("a", "3.1.1"), ("b", "5"), ("b", "3.1.1")]


@pytest.mark.parametrize(("state", "session"), [("offline", OTHER), ("offline", SESSION)])
def test_a_late_will_is_answered(simulate: Simulate, state: str, session: str) -> None:
    """A retained `offline` while we are connected, of any session, is answered by `online`."""
    broker = FakeBroker()
    w = simulate(1, broker)
    sent: list[bool] = []
    step = broker.on_step

    def will() -> None:
        if STATUS in broker.subscribed and broker.connection is not None and not sent:
            sent.append(True)
            body = json.dumps({"state": state, "session": session}).encode()
            broker.connection.receive(STATUS, body)
        step()

    broker.on_step = will
    w.settled = lambda: len(broker.bodies("status")) >= 2  # type: ignore[method-assign]
    w.play()
    states = [body["state"] for body in broker.bodies("status")]
    assert states == ["online", "online", "stopped"]
    assert {body["session"] for body in broker.bodies("status")} == {SESSION}


def test_another_box_with_our_station_is_named(simulate: Simulate) -> None:
    """A live `online` of another session is a fault that names the station; it is not answered."""
    now = [0.0]
    detector = DuplicateClientDetector(SESSION, "line1", "box-1", lambda: now[0])
    body = json.dumps({"state": "online", "session": OTHER}).encode()
    assert not detector.status_received(body, retained=True)
    assert detector.fault == ""
    assert not detector.status_received(body, retained=False)
    assert "'line1'" in detector.fault
    now[0] = 601.0
    assert detector.fault == ""


def test_another_client_with_our_id_is_named() -> None:
    """MQTT 5 has a reason code for it; over 3.1.1 three short connections are the sign."""
    plain = DuplicateClientDetector(SESSION, "line1", "box-1", lambda: 0.0)
    for count in range(3):
        assert plain.fault == "", count
        plain.connection_ended(Lost("gone"), 0.5)
    assert "'box-1'" in plain.fault
    modern = DuplicateClientDetector(SESSION, "line1", "box-1", lambda: 0.0)
    modern.connection_ended(Lost("taken over", taken_over=True), 500.0)
    assert "'box-1'" in modern.fault
    patient = DuplicateClientDetector(SESSION, "line1", "box-1", lambda: 0.0)
    for lived in (0.5, 0.5, 60.0, 0.5, 0.5):
        patient.connection_ended(Lost("gone"), lived)
    assert patient.fault == ""


def test_a_forbidden_topic_is_not_a_duplicate_client(environment: Clock) -> None:
    """A broker may disconnect because of a forbidden topic: the fault names the ACL until the
    broker takes a message."""
    config = Config.read(
        {
            "station": "line1",
            "model": {"path": "m.tflite"},
            "cameras": [{"id": "top", "source": "test:"}],
        }
    )
    status = BirthAndWill(config, SESSION, environment)
    for _ in range(5):
        status.acknowledged(PubAck(1, 0x87, "Not authorized"))
        status.connection_ended(Lost("gone"), 0.5)
    (fault,) = status.faults()
    assert "publish below inspection/line1/" in fault
    assert "ACL" in fault
    status.acknowledged(PubAck(2, 0, "Success"))
    assert status.faults() == []


def test_an_answer_that_never_comes_ends_the_connection(simulate: Simulate) -> None:
    """A connection without PUBACKs is given up within 1.5 keepalives."""
    broker = FakeBroker(answers_per_step=0, keepalive_s=10, greetings=chain(repeat("accept")))
    w = simulate(1, broker)
    accepted: list[float] = []

    def second() -> bool:
        accepted.extend([broker.now] * (broker.connections - len(accepted)))
        return broker.connections >= 2

    w.play_until(second)
    assert 15 <= accepted[1] - accepted[0] < 17


@pytest.mark.slow
def test_a_silent_broker_is_noticed_in_time(tmp_path: Path) -> None:
    """The connection to a stopped mosquitto, which the kernel keeps open, is lost within 1.5
    keepalives, and closing does not wait."""
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    config = MqttConfig(port=broker.port, keepalive_s=5)
    connection = PahoConnection(config, "box", "5", None, events.put)
    try:
        connection.open()
        assert isinstance(events.get(timeout=20), Connected)
        broker.freeze()
        started = time.monotonic()
        lost = events.get(timeout=40)
        assert isinstance(lost, Lost)
        assert "silent" in lost.why
        assert time.monotonic() - started > 4
    finally:
        connection.close()
        broker.close()


def test_a_disconnect_with_a_reason_has_a_sentence() -> None:
    """MQTT 5's `session taken over` (mosquitto 2.0.11 closes without it) names our client id."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = PahoConnection(
            MqttConfig(port=server.getsockname()[1]), "box", "5", None, events.put
        )
        connection.open()
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1024)[0] == 0x10  # CONNECT
            peer.sendall(bytes.fromhex("2003000000") + bytes.fromhex("e0028e00"))
            assert isinstance(events.get(timeout=20), Connected)
            lost = events.get(timeout=20)
        connection.close()
    assert isinstance(lost, Lost)
    assert lost.taken_over
    assert "'box'" in lost.why


@pytest.mark.slow
def test_a_peer_that_does_not_read_delays_no_caller() -> None:
    """With a full socket, publishing returns at once, and closing within about two seconds."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = PahoConnection(
            MqttConfig(port=server.getsockname()[1]), "box", "5", None, events.put
        )
        connection.open()
        peer, _ = server.accept()
        with peer:
            peer.recv(1024)
            peer.sendall(bytes.fromhex("2003000000"))
            assert isinstance(events.get(timeout=20), Connected)
            for _ in range(20):
                connection.publish("t", bytes(2**20), retain=False)  # 20 MB: no buffer takes that
            connection.close()
            assert not connection.alive()

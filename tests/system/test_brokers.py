"""The daemon with real brokers: TLS, WebSockets, late permissions, oversize messages, a standby, a
broker that hangs."""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import make_authority, make_certificate
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import BASE, Daemon, Plant, draw_many, faults
from tests.support.waiting import wait_until
from tests.support.websocket_bridge import WebSocketBridge
from tests.system.conftest import MakeDaemon, MakePlant

PARTS = 12
KEEPALIVE_S = 5


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates: ca, broker (127.0.0.1 and localhost), box, and an unknown authority."""
    folder = tmp_path_factory.mktemp("certificates")
    make_authority(folder, "ca")
    make_certificate(folder, "broker", "ca", "IP:127.0.0.1,DNS:localhost")
    make_certificate(folder, "box", "ca", "DNS:box")
    return folder


@dataclass
class BrokerSetup:
    """Makes brokers, daemons and subscribers. `parts`: a source of PARTS pictures."""

    make_daemon: MakeDaemon
    make_plant: MakePlant
    folder: Path
    brokers: list[Mosquitto] = field(default_factory=list)

    @property
    def parts(self) -> str:
        """Drawn at the first use."""
        if not (self.folder / "parts").exists():
            draw_many(self.folder / "parts", PARTS)
        return f"replay:{self.folder / 'parts'}"

    def broker(self, *lines: str) -> Mosquitto:
        """A running mosquitto for this test."""
        self.brokers.append(Mosquitto(self.folder / f"broker{len(self.brokers)}", *lines))
        self.brokers[-1].start()
        return self.brokers[-1]

    def box(self, mqtt: dict[str, Any], **camera: Any) -> Daemon:
        """A daemon that replays `parts`, not started."""
        return self.make_daemon(self.parts, mqtt, **camera)

    def plant(self, port: int, *credentials: str) -> Plant:
        """A subscriber at this port."""
        return self.make_plant(*credentials, port=port)


@pytest.fixture
def setup(make_daemon: MakeDaemon, make_plant: MakePlant, tmp_path: Path) -> Iterator[BrokerSetup]:
    """Without brokers yet."""
    made = BrokerSetup(make_daemon, make_plant, tmp_path)
    yield made
    for broker in made.brokers:
        broker.close()


def asks_for_certificates(folder: Path, plain: int) -> tuple[str, ...]:
    """Settings of a broker that requires client certificates, and has a plain port for the
    subscriber."""
    return (
        "allow_anonymous true",
        f"cafile {folder}/ca.pem",
        f"certfile {folder}/broker.pem",
        f"keyfile {folder}/broker.key",
        "require_certificate true",
        f"listener {plain} 127.0.0.1",
    )


def tls(folder: Path, *, identity: bool) -> dict[str, Any]:
    """`mqtt.tls` of a box with or without a client certificate."""
    own = {"cert": str(folder / "box.pem"), "key": str(folder / "box.key")} if identity else {}
    return {"ca": str(folder / "ca.pem"), **own}


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_certificates_on_both_sides(setup: BrokerSetup, certificates: Path, version: str) -> None:
    """A broker that requires a certificate accepts ours, proves its name, and gets every
    verdict."""
    plain = free_port()
    guarded = setup.broker(*asks_for_certificates(certificates, plain))
    plant = setup.plant(plain)
    options = {"port": guarded.port, "version": version}
    daemon = setup.box({**options, "tls": tls(certificates, identity=True)})
    daemon.start()
    assert sorted(plant.wait_for_results(PARTS)) == list(range(1, PARTS + 1))
    assert daemon.stop() == 0
    assert f"MQTT {version}" in daemon.log


def test_a_certificate_that_comes_late(setup: BrokerSetup, certificates: Path) -> None:
    """Without a certificate the verdicts wait and the log says what to do; with it they arrive."""
    plain = free_port()
    guarded = setup.broker(*asks_for_certificates(certificates, plain))
    plant = setup.plant(plain)
    daemon = setup.box({"port": guarded.port, "tls": tls(certificates, identity=False)})
    daemon.start()
    daemon.wait_for_waiting(PARTS)
    daemon.wait_for_log("mqtt.tls.cert")
    assert not plant.bodies("result")
    assert daemon.stop() == 0
    daemon = setup.box({"port": guarded.port, "tls": tls(certificates, identity=True)})
    daemon.start()
    plant.wait_for_results(2 * PARTS)
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("encrypted", "version"), [(False, "3.1.1"), (False, "5"), (True, "3.1.1"), (True, "5")]
)
def test_over_websockets(
    setup: BrokerSetup, broker: Mosquitto, certificates: Path, encrypted: bool, version: str
) -> None:
    """Through a web server on the configured path, plain and encrypted. The broker is stopped in
    between, and no verdict is lost."""
    context = None
    if encrypted:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates / "broker.pem", certificates / "broker.key")
    plant = setup.plant(broker.port)
    bridge = WebSocketBridge(broker.port, context)
    try:
        options: dict[str, Any] = {"port": bridge.port, "transport": "websockets"}
        options |= {"version": version, "ws_path": "/plant/mqtt"}
        if encrypted:
            options["tls"] = {"ca": str(certificates / "ca.pem")}
        daemon = setup.box(options, rate=20, loop=3)
        daemon.start()
        plant.wait_for_results(5)
        broker.kill()
        daemon.wait_for_stored(3 * PARTS)
        broker.start()
        assert sorted(plant.wait_for_results(3 * PARTS)) == list(range(1, 3 * PARTS + 1))
        assert daemon.stop() == 0
    finally:
        bridge.close()
    assert set(bridge.paths) == {"/plant/mqtt"}


def test_rights_that_come_late(setup: BrokerSetup, tmp_path: Path) -> None:
    """An ACL that forbids publishing is an error with the topic; no verdict is lost or dropped.
    When the broker reads a corrected ACL, all verdicts arrive."""
    acl, web = tmp_path / "acl", free_port()
    acl.write_text("topic read #\n")
    strict = setup.broker("allow_anonymous true", f"acl_file {acl}")
    plant = setup.plant(strict.port)
    sections = {"web": {"enabled": True, "port": web}}
    daemon = setup.box({"port": strict.port, "version": "5"}, sections=sections)
    daemon.start()
    daemon.wait_for_log("does not let us publish below inspection/line1/")
    daemon.wait_for_waiting(PARTS)
    wait_until(
        lambda: any("allow it in the broker's ACL" in text for text in faults(web)),
        "the fault in health",
    )
    acl.write_text("topic readwrite #\n")
    strict.reload()
    results = plant.wait_for_results(PARTS)
    assert sorted(results) == list(range(1, PARTS + 1))
    wait_until(lambda: not any("ACL" in text for text in faults(web)), "no such fault any more")
    wait_until(lambda: plant.bodies("health"), "health that may be published again")
    assert plant.bodies("health")[-1]["outbox"]["dropped"] == 0
    assert daemon.stop() == 0


def test_a_broker_that_takes_only_small_messages(setup: BrokerSetup) -> None:
    """Verdicts above `max_packet_size` are kept, counted as parked and reported as a fault. After a
    restart with a larger limit all arrive."""
    small = setup.broker("allow_anonymous true", "max_packet_size 500")
    daemon = setup.box({"port": small.port, "version": "5"})
    daemon.start()
    daemon.wait_for_waiting(PARTS)
    daemon.wait_for_log("larger")
    assert daemon.process is not None
    assert daemon.process.poll() is None
    assert daemon.stop() == 0
    assert daemon.waiting() == PARTS
    large = setup.broker("allow_anonymous true")
    plant = setup.plant(large.port)
    daemon = setup.box({"port": large.port, "version": "5"})
    daemon.start()
    plant.wait_for_results(2 * PARTS)
    assert daemon.stop() == 0


def test_a_standby_takes_over(setup: BrokerSetup, broker: Mosquitto) -> None:
    """When the first broker is killed, the verdicts go to the standby; none is lost, and both
    brokers get them in order. The box stays with the standby until that one ends."""
    standby = setup.broker()
    first, second = setup.plant(broker.port), setup.plant(standby.port)
    daemon = setup.box(
        {"standby": [{"host": "127.0.0.1", "port": standby.port}]},
        rate=20,
        loop=40,
    )
    daemon.start()
    first.wait_for_results(10)
    broker.kill()
    second.wait_for_results(20)
    broker.start()
    seen = len(second.results())
    second.wait_for_results(seen + 20)
    before = len(first.results())
    standby.kill()
    first.wait_for_results(before + 20)
    assert daemon.stop() == 0
    standby.start()
    last = daemon.last_seq()

    def all_there() -> bool:
        return sorted(first.results().keys() | second.results().keys()) == list(range(1, last + 1))

    wait_until(all_there, "every verdict on one broker or the other")
    for plant in (first, second):
        for replayed in (False, True):
            came = [b["seq"] for b in plant.bodies("result") if b["replayed"] is replayed]
            once = list(dict.fromkeys(came))
            assert once == sorted(once)


def test_a_password_from_systemd(setup: BrokerSetup, tmp_path: Path, mosquitto_users: Path) -> None:
    """`credential:NAME` is a file of systemd. Without it the box does not start, and names the
    place."""
    guarded = setup.broker("allow_anonymous false", f"password_file {mosquitto_users}")
    plant = setup.plant(guarded.port, "plant", "plant")
    mqtt = {"port": guarded.port, "username": "box", "password_file": "credential:mqtt-password"}
    handed = tmp_path / "credentials"
    handed.mkdir()
    daemon = setup.box(mqtt)
    daemon.start(CREDENTIALS_DIRECTORY=str(handed))
    assert daemon.exit_code() == 2
    assert "mqtt.password_file: cannot be read (No such file or directory)" in daemon.log
    assert str(handed / "mqtt-password") in daemon.log
    (handed / "mqtt-password").write_text("right\n")
    daemon.start(CREDENTIALS_DIRECTORY=str(handed))
    assert sorted(plant.wait_for_results(PARTS)) == list(range(1, PARTS + 1))
    assert daemon.stop() == 0


def test_a_broker_that_hangs_is_noticed(
    setup: BrokerSetup, broker: Mosquitto, plant: Plant, tmp_path: Path
) -> None:
    """A broker that hangs is reported within 1.5 keepalives. When it continues, every verdict
    arrives."""
    web = free_port()
    draw_many(tmp_path / "many", 240)
    sections = {"web": {"enabled": True, "port": web}}
    many = f"replay:{tmp_path / 'many'}"
    daemon = setup.make_daemon(many, {"keepalive_s": KEEPALIVE_S}, rate=20, sections=sections)
    daemon.start()
    plant.wait_for_results(10)
    broker.freeze()
    since = time.monotonic()
    daemon.wait_for_log("the connection to the broker is lost")
    noticed = time.monotonic() - since
    wait_until(
        lambda: any(text.startswith("broker") for text in faults(web)), "the fault in health"
    )
    broker.thaw()
    # The daemon's own reckoning says when it noticed; ours has the log's way to us in it.
    assert noticed <= 1.5 * KEEPALIVE_S + 2.0
    daemon.wait_for_stored(240)
    assert sorted(plant.wait_for_results(240)) == list(range(1, 241))
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("max_packet_size 1300",), "health is shortened"),
        (("retain_available false",), ""),
    ],
)
def test_a_broker_with_limits_gets_all_verdicts(
    setup: BrokerSetup, lines: tuple[str, ...], sentence: str
) -> None:
    """Over MQTT 3.1.1 a broker only hangs up on what it does not take: a `health` that is larger
    than its limit, a retained will. All verdicts arrive, and no other client is blamed."""
    web = free_port()
    limited = setup.broker("allow_anonymous true", *lines)
    plant = setup.plant(limited.port)
    sections = {"web": {"enabled": True, "port": web}}
    daemon = setup.box({"port": limited.port, "version": "3.1.1"}, sections=sections)
    daemon.start()
    assert sorted(plant.wait_for_results(PARTS)) == list(range(1, PARTS + 1))
    wait_until(lambda: not sentence or any(sentence in text for text in faults(web)), sentence)
    assert not any("client id" in text for text in faults(web))
    assert daemon.stop() == 0


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_huge_retained_request_costs_no_memory(setup: BrokerSetup, version: str) -> None:
    """A retained request of 40 MB is refused by its length, and verdicts go on."""
    broker = setup.broker("allow_anonymous true", "persistence false")
    plant = setup.plant(broker.port)
    plant.publish(f"{BASE}/request/trigger", bytes(40_000_000), retain=True)
    daemon = setup.box({"port": broker.port, "version": version})
    daemon.start()
    plant.wait_for_results(PARTS)
    if version == "3.1.1":
        daemon.wait_for_log("at most 131072 are taken")
        daemon.wait_for_log("connected to the broker", times=2)
    assert daemon.process is not None
    peak = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="utf-8")
    peak_kb = int(peak.partition("VmHWM:")[2].split()[0])
    assert daemon.stop() == 0
    assert peak_kb < 160_000

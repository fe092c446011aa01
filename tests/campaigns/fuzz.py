"""Fuzzes a working box over MQTT and HTTP: the whole daemon with a camera at 10 frames/s, a real
mosquitto, and between them an `Interferer` that sends packets which are not MQTT.

    python -m tests.campaigns.fuzz --minutes 30

- requests, statuses of others, retained and huge messages, wrong topics, from another client,
- packets of a broken broker into the daemon's connection,
- HTTP: routes, methods, headers, chunks, multipart bodies, slow clients,
- before that, `--packets` connections to a broker that sends one hostile packet.

Prints memory, threads and files each minute. Exit code 1 when the daemon ends by itself or with
another code than 0, logs a traceback, loses a verdict, or grows by more than `--growth-mb`.
"""

import argparse
import json
import logging
import queue
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from edge.config import MqttConfig
from edge.mqtt.connection import PahoConnection
from edge.mqtt.events import Event, Lost, Refused
from tests.campaigns.hostile_http import HttpAttacker, well
from tests.campaigns.hostile_messages import hostile_message
from tests.campaigns.hostile_packets import Interferer, greet_and_send, hostile_packet
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import BASE, Daemon
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
_WAIT_S = 180.0
_STATUSES = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", rb'{"state":"online","session":"\ud800"}',
    b'{"state":"offline","session":null}', b'{"state":{},"session":[]}', b"[" * 4000,
    b'{"state":"online","session":"' + b"x" * 3000 + b'"}', b'{"state":1e999,"session":NaN}',
)  # fmt: skip


@dataclass
class Report:
    """The figures of one run."""

    samples: list[dict[str, float]] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    messages: int = 0
    exit_code: int | None = None
    lost: int = 0
    log: str = ""

    def promises(self, growth_mb: float) -> dict[str, bool]:
        """Each promise, and whether it holds. The first third of the samples is warm-up."""
        half = self.samples[len(self.samples) // 3 :] or self.samples
        grown = half[-1]["memory, MB"] - half[0]["memory, MB"] if half else 0.0
        return {
            "the daemon ends with 0, on SIGTERM": self.exit_code == 0,
            "no traceback": "Traceback" not in self.log and "unexpected fault" not in self.log,
            f"no verdict is lost ({self.lost})": self.lost == 0 < len(self.numbers),
            f"memory grew by less than {growth_mb:g} MB": grown < growth_mb,
        }


class _Recorder(logging.Handler):
    """Keeps log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def hostile_connections(count: int, seed: int) -> list[str]:
    """Connects to a broker that sends one hostile packet. Returns what went wrong."""
    rng, wrong = random.Random(seed), []
    handler = _Recorder()
    records = handler.records
    logging.getLogger("edge").addHandler(handler)
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(count):
            kind, data = hostile_packet(rng)
            level = rng.choice((4, 5))
            events: queue.SimpleQueue[Event] = queue.SimpleQueue()
            config = MqttConfig(port=server.getsockname()[1])
            connection = PahoConnection(
                config, "box", "5" if level == 5 else "3.1.1", None, events.put
            )
            peer = threading.Thread(target=greet_and_send, args=(server, data, level))
            peer.start()
            connection.open()
            try:
                while not isinstance(events.get(timeout=20), Lost | Refused):
                    pass
            except queue.Empty:
                wrong.append(f"{kind}: the connection does not end ({data[:40].hex()})")
            connection.close()
            peer.join()
            if any(record.exc_info for record in records):
                wrong.append(f"{kind}: {records[-1].getMessage()} ({data[:60].hex()})")
                wrong[-1] += f" {records[-1].exc_info}"
            records.clear()
    logging.getLogger("edge").removeHandler(handler)
    return wrong


class Listener:
    """Receives verdicts."""

    def __init__(self, port: int, report: Report) -> None:
        self._report = report
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False
        )
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"{BASE}/result", qos=1)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def _received(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self._report.numbers.add(int(json.loads(message.payload)["seq"]))


def send_messages(port: int, report: Report, ended: threading.Event, seed: int) -> None:
    """Publishes hostile messages below the box's topics until `ended`."""
    rng = random.Random(seed)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="fuzz", protocol=paho.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    while not ended.wait(0.02):
        topic, body, retain, properties = _message(rng)
        client.publish(topic, body, rng.choice((0, 1, 1, 2)), retain, properties)
        if retain and rng.random() < 0.7:
            client.publish(topic, b"", 1, retain=True)
        report.messages += 1
    client.disconnect()
    client.loop_stop()


def _message(rng: random.Random) -> tuple[str, bytes, bool, Any]:
    kind = rng.random()
    if kind < 0.15:
        return f"{BASE}/status", rng.choice(_STATUSES), rng.random() < 0.5, None
    if kind < 0.2:
        size = rng.choice((100_000, 140_000, 3_000_000))
        return f"{BASE}/request/trigger", b"x" * size, rng.random() < 0.2, None
    if kind < 0.3:
        tail = rng.choice(("info", "health", "request/a/b", "response/x", "request/"))
        return f"{BASE}/{tail}", b"{}", False, None
    one = hostile_message(rng)[1]
    return f"{BASE}/request/{one.name}", one.body, one.retain, one.properties


def run(folder: Path, *, minutes: float, every_s: float, seed: int, progress: bool) -> Report:
    """Runs one daemon under fire for some minutes."""
    report = Report()
    options = ("allow_anonymous true", "persistence false", "max_queued_messages 0")
    broker = Mosquitto(folder / "broker", *options)
    broker.start()
    between = Interferer(broker.port, every_s, seed)
    web = free_port()
    daemon = Daemon(folder, _config(between.port, web))
    listener = Listener(broker.port, report)
    ended = threading.Event()
    http = HttpAttacker(web)
    threads = [
        threading.Thread(target=send_messages, args=(broker.port, report, ended, seed)),
        threading.Thread(target=_send_requests, args=(http, ended, seed)),
    ]
    try:
        daemon.start()
        wait_until(lambda: len(report.numbers) > 20, "twenty verdicts", _WAIT_S)
        for thread in threads:
            thread.start()
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until and daemon.process and daemon.process.poll() is None:
            ended.wait(min(5.0, minutes * 4))
            report.samples.append(_sample(daemon, report))
            if progress and len(report.samples) % 12 == 0:
                print(f"{len(report.samples) * 5:5} s {report.samples[-1]}", flush=True)
        ended.set()
        for thread in threads:
            thread.join()
        http.close()
        assert well(web), "/healthz does not answer"
        between.close()
        report.exit_code = daemon.stop()
        report.lost = _count_lost(daemon, report)
        report.log = daemon.log
        if progress:
            print(f"packets {between.kinds.total()}, connections of the box {between.connects}")
            print(f"HTTP {http.kinds.total()} requests, answers {dict(http.answers)}")
        return report
    finally:
        ended.set()
        daemon.close()
        listener.close()
        broker.close()


def _count_lost(daemon: Daemon, report: Report) -> int:
    """Verdicts that neither arrived nor wait in the outbox."""

    def lost() -> int:
        judged = set(range(1, daemon.last_seq() + 1))
        return len(judged - daemon.waiting_numbers() - report.numbers)

    until = time.monotonic() + 20
    while lost() > 0 and time.monotonic() < until:
        threading.Event().wait(0.2)  # the broker may still deliver
    return lost()


def _send_requests(http: HttpAttacker, ended: threading.Event, seed: int) -> None:
    rng = random.Random(seed)
    while not ended.wait(0.02):
        http.step(rng)


def _sample(daemon: Daemon, report: Report) -> dict[str, float]:
    assert daemon.process is not None
    process = psutil.Process(daemon.process.pid)
    return {
        "memory, MB": round(process.memory_info().rss / 1e6, 1),
        "threads": process.num_threads(),
        "open files": process.num_fds(),
        "verdicts": len(report.numbers),
        "messages": report.messages,
    }


def _config(port: int, web: int) -> dict[str, Any]:
    return {
        "station": "line1",
        "model": {"path": str(ROOT / "tests" / "models" / "redness.tflite")},
        "cameras": [
            {"id": "top", "source": "test:", "fps": 10},
            {"id": "parts", "source": "test:", "fps": 10, "trigger": {"kind": "request"}},
        ],
        "mqtt": {"port": port, "keepalive_s": 10},
        "web": {"enabled": True, "port": web},
        "health": {"interval_s": 1},
    }


def main() -> int:
    """Runs the campaign. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--packets", type=int, default=2000, help="hostile connections at first")
    parser.add_argument(
        "--every-s", type=float, default=15.0, help="seconds between packets that are not MQTT"
    )
    parser.add_argument("--growth-mb", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    wrong = hostile_connections(arguments.packets, arguments.seed)
    print(f"{arguments.packets} connections with a hostile packet: {len(wrong)} faults")
    print("\n".join(wrong[:10]))
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        report = run(
            folder,
            minutes=arguments.minutes,
            every_s=arguments.every_s,
            seed=arguments.seed,
            progress=True,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{report.messages} messages, {len(report.numbers)} verdicts; last {report.samples[-1]}")
    promises = report.promises(arguments.growth_mb)
    for name, holds in promises.items():
        print(f"{'holds  ' if holds else 'BROKEN'} {name}")
    if not all(promises.values()):
        print(report.log[-4000:])
    return 0 if all(promises.values()) and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())

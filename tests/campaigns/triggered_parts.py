"""One verdict per part in real time: the whole daemon with a real mosquitto, triggered over MQTT at
20 parts/s on average, in bursts, while its camera is late, hangs, disconnects and has faults.

`python -m tests.campaigns.triggered_parts --count 10000` takes about nine minutes. It prints
outcome and delay of the parts. Exit code 1 when a part has no verdict or two, or when a part after
its deadline has another verdict than `error`.

Only the camera of the daemon is a fake, with random faults from `--seed`.
"""

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from edge.capture.camera import Camera, CameraRead
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError

ROOT = Path(__file__).parents[2]
BASE = "inspection/bench"
_ASK_AGAIN_S = 5.0


class FaultyCamera:
    """A fake camera: 640×480 at 60 frames/s, bad parts red, with random faults."""

    live = True

    def __init__(self, rng: random.Random, environment: Clock) -> None:
        self._rng, self._environment = rng, environment
        self._noise = np.random.default_rng(1).integers(0, 60, (8, 480, 640, 3)).astype(np.uint8)
        self._count = 0

    def read(self, stop: StopEvent) -> CameraRead | None:
        """A frame after 16 ms, or a random fault."""
        draw = self._rng.random()
        wait = 1 / 60
        if draw < 0.002:
            wait = self._rng.uniform(0.1, 0.6)  # late
        elif draw < 0.0022:
            wait = 1.5  # stuck
        if stop.wait(wait):
            return None
        if 0.01 < draw < 0.0104:
            raise CameraError("bench: the camera is lost")
        if 0.02 < draw < 0.025:
            return CameraRead(None, fault="bench: a damaged picture")
        self._count += 1
        pixels = self._noise[self._count % 8].copy()
        if self._rng.random() < 0.1:
            pixels[..., 2] = 230
        return CameraRead(pixels)

    def close(self) -> None:
        """Does nothing."""


def daemon(config: Path, seed: int) -> int:
    """Runs the daemon in this process."""
    from edge.config import load_config
    from edge.core.logs import set_up_logging
    from edge.daemon import Daemon

    rng = random.Random(seed)

    def open_camera(_config: CameraConfig, environment: Clock, *_more: object) -> Camera:
        return FaultyCamera(rng, environment)

    loaded = load_config(config)
    set_up_logging("error")
    return Daemon(loaded, open_camera=open_camera).run()


class Gateway:
    """Triggers parts, and receives answers and verdicts with their arrival time."""

    def __init__(self, port: int) -> None:
        self.sent: dict[str, float] = {}
        self.sent_at: dict[str, float] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.results: list[tuple[float, dict[str, Any]]] = []
        self.healths: list[dict[str, Any]] = []
        self.stopped = threading.Event()
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="gateway")
        self._client.max_inflight_messages_set(2000)
        self._client.on_message = self._on_message
        self._client.on_socket_open = _set_nodelay
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        for name in ("response/trigger", "result", "health", "status"):
            self._client.subscribe(f"{BASE}/{name}", qos=1)
        assert self._ready.wait(10)

    def trigger(self, part: str) -> None:
        """Triggers one part."""
        body = json.dumps({"transaction": part, "camera": "cam1", "part": part})
        self.sent[part], self.sent_at[part] = time.monotonic(), time.time()
        self._client.publish(f"{BASE}/request/trigger", body, qos=1)

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        now, body = time.monotonic(), json.loads(message.payload)
        if message.topic.endswith("/result"):
            self.results.append((now, body))
        elif message.topic.endswith("/trigger"):
            self.answers[body["transaction"]] = body
        elif message.topic.endswith("/health"):
            self.healths.append(body)
        elif body["state"] == "stopped":
            self.stopped.set()


def _set_nodelay(_client: object, _data: object, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def send(gateway: Gateway, count: int, rate: float, rng: random.Random) -> None:
    """Sends `count` triggers at `rate` per second on average, sometimes in bursts."""
    due = time.monotonic()
    number = 0
    while number < count:
        burst = min(count - number, rng.choice([1] * 16 + [2, 3, 5, 8]))
        for _ in range(burst):
            gateway.trigger(f"P-{number:06}")
            number += 1
        due += burst * rng.uniform(0.4, 1.6) / rate
        time.sleep(max(0.0, due - time.monotonic()))


def wait(condition: Any, seconds: float, what: str) -> None:
    """Waits until the condition is true. Raises SystemExit after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"triggered_parts: {what} did not come within {seconds:g} s")
        time.sleep(0.02)


def report(gateway: Gateway, deadline_ms: float) -> bool:
    """Prints the figures. Returns whether every promise holds."""
    accepted = {p for p, a in gateway.answers.items() if a["status"] == "ok"}
    refused = {p for p, a in gateway.answers.items() if a["status"] == "error"}
    by_id = {body["id"]: (at, body) for at, body in reversed(gateway.results)}
    verdicts = list(by_id.values())
    parts = Counter(body["part"] for _, body in verdicts)
    missing = accepted - set(parts)
    duplicates = [part for part, n in parts.items() if n > 1]
    foreign = set(parts) - accepted
    late = [b for _, b in verdicts if b["trigger"]["to_verdict_ms"] > deadline_ms]
    late_not_error = [b for b in late if b["verdict"] != "error"]
    early = [
        b for _, b in verdicts if b["verdict"] != "error" and b["captured_at"] < b["trigger"]["at"]
    ]
    frames = Counter(b["frame"]["seq"] for _, b in verdicts if b["verdict"] != "error")
    twice = [seq for seq, n in frames.items() if n > 1]
    waited = [(at - gateway.sent[b["part"]]) * 1000 for at, b in verdicts]
    judged = [
        (at - gateway.sent[b["part"]]) * 1000 for at, b in verdicts if b["verdict"] != "error"
    ]
    inside = [b["trigger"]["to_verdict_ms"] for _, b in verdicts if b["verdict"] != "error"]
    print(
        f"triggers sent {len(gateway.sent)}, answered {len(gateway.answers)}: "
        f"{len(accepted)} accepted, {len(refused)} refused (busy)"
    )
    print(f"verdicts {dict(Counter(b['verdict'] for _, b in verdicts))}")
    reasons = Counter(_kind(b["reason"]) for _, b in verdicts if b["verdict"] == "error")
    for reason, n in reasons.most_common():
        print(f"  error {n:6}  {reason}")
    print(
        f"missing {len(missing)}, duplicate {len(duplicates)}, without an accepted part "
        f"{len(foreign)}, "
        f"frames used twice {len(twice)}, captured before the trigger {len(early)}"
    )
    print(
        f"past the deadline of {deadline_ms:g} ms: {len(late)}, of these not `error` "
        f"{len(late_not_error)}"
    )
    transport_ms = [
        (_epoch(b["trigger"]["at"]) - gateway.sent_at[b["part"]]) * 1000 for _, b in verdicts
    ]
    for name, values in (
        ("trigger sent → trigger in the box", transport_ms),
        ("trigger sent → verdict received, all", waited),
        ("trigger sent → verdict received, judged", judged),
        ("trigger → verdict inside the box, judged", inside),
    ):
        p50, p99 = np.percentile(values or [float("nan")], [50, 99])
        print(f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(values, default=0):.1f} ms")
    whole = len(gateway.answers) == len(gateway.sent)
    return whole and not (missing or duplicates or foreign or twice or early or late_not_error)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _kind(reason: str) -> str:
    """A reason without its numbers."""
    return "".join("#" if c.isdigit() else c for c in reason).replace("##", "#").replace("##", "#")


def main() -> int:
    """Runs the campaign. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="parts (default 1000)")
    parser.add_argument("--rate", type=float, default=20.0, help="parts a second (default 20)")
    parser.add_argument("--deadline-ms", type=float, default=500.0)
    parser.add_argument("--queue", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--daemon", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.daemon:
        return daemon(arguments.daemon, arguments.seed)
    from tests.support.mosquitto import Mosquitto

    folder = Path(tempfile.mkdtemp(prefix="triggered-parts-"))
    # as docs/triggers.md recommends, for low latency
    broker = Mosquitto(folder / "broker", "allow_anonymous true", "set_tcp_nodelay true")
    broker.start()
    gateway = Gateway(broker.port)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(_config(folder, broker.port, arguments)))
    command = [sys.executable, "-m", "tests.campaigns.triggered_parts", "--daemon", str(config)]
    process = subprocess.Popen(
        [*command, "--seed", str(arguments.seed)], cwd=ROOT, env={**os.environ}
    )
    try:
        wait(
            lambda: gateway.healths and gateway.healths[-1]["cameras"]["cam1"]["frames"] > 0,
            60,
            "the camera's first frame",
        )
        start = time.monotonic()
        send(gateway, arguments.count, arguments.rate, random.Random(arguments.seed))
        took = time.monotonic() - start
        wait(lambda: len(gateway.answers) >= arguments.count, 30, "an answer to every trigger")
        process.terminate()
        process.wait(60)
        wait(gateway.stopped.is_set, 10, "the final status of the daemon")
    finally:
        process.kill()
        process.wait()
        gateway.close()
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{arguments.count} parts in {took:.0f} s, {arguments.count / took:.1f} a second")
    passed = report(gateway, arguments.deadline_ms)
    print("all promises hold" if passed else "NOT all promises hold")
    return 0 if passed else 1


def _config(folder: Path, port: int, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "station": "bench",
        "model": {"path": str(ROOT / "tests" / "models" / "redness.tflite")},
        "cameras": [
            {
                "id": "cam1",
                "source": "test:",
                "timeout_s": 1,
                "trigger": {
                    "kind": "request",
                    "deadline_ms": arguments.deadline_ms,
                    "queue": arguments.queue,
                },
            }
        ],
        "mqtt": {"port": port},
        "outbox": {"path": str(folder / "outbox.db")},
        "health": {"interval_s": 0.5},
    }


if __name__ == "__main__":
    sys.exit(main())

"""Sends malformed requests to a working box: a real mosquitto, the whole daemon with a camera at 10
frames/s, and `--count` bad messages on `request/…`.

`python -m tests.campaigns.hostile_requests --count 100000` takes about four minutes. It prints:

- the numbers of answered, refused and counted messages,
- memory, threads and files of the daemon before and after,
- the delay of verdicts without and with the flood.

Exit code 1 when the daemon ends, miscounts, leaves a valid request unanswered, or grows by more
than `--growth-mb`.
"""

import argparse
import json
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from tests.campaigns.hostile_messages import Attacker
from tests.support.mosquitto import Mosquitto
from tests.support.plant import BASE, Daemon
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
# without these, the broker saves each message to disk and becomes the bottleneck
_BROKER_OPTIONS = ("persistence false", "set_tcp_nodelay true")
_WAIT_S = 120.0
_ANSWER_WITHIN_S = 2.0  # a valid request may fall to the rate limit too: then it is sent again
_PROBE = "still there?"
_VALID_REQUESTS: dict[str, dict[str, str]] = {
    "trigger": {"camera": "parts"},
    "snapshot": {"camera": "top"},
    "reload": {},
}


class Listener:
    """Receives verdicts, answers and health; verdicts with their arrival time."""

    def __init__(self, port: int) -> None:
        self.verdicts: list[tuple[float, dict[str, Any]]] = []
        self.answers: Counter[str] = Counter()
        self.accepted: set[str] = set()  # valid requests that were accepted
        self.sent = 0  # valid requests, repetitions included
        self.health: dict[str, Any] = {}
        self.states: list[str] = []
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener")
        self._client.on_message = self._on_message
        self._client.on_socket_open = _set_nodelay
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        for name in ("result", "health", "status", "response/#"):
            self._client.subscribe(f"{BASE}/{name}", qos=1)
        assert ready.wait(_WAIT_S)

    def send_valid_requests(self) -> None:
        """Sends a valid request of each kind until each was answered with `ok`.

        The flood before may have used up the rate limit. The daemon drops such a request without
        an answer, so the listener sends it again."""
        self.accepted.clear()
        for name in _VALID_REQUESTS:
            sent_at = float("-inf")

            def accepted(name: str = name) -> bool:
                nonlocal sent_at
                if name not in self.accepted and time.monotonic() - sent_at > _ANSWER_WITHIN_S:
                    self._send(name)
                    sent_at = time.monotonic()
                return name in self.accepted

            wait_until(accepted, f"the answer ok to a valid request {name}", _WAIT_S)

    def _send(self, name: str) -> None:
        body = json.dumps({"transaction": _PROBE + str(time.time()), **_VALID_REQUESTS[name]})
        self._client.publish(f"{BASE}/request/{name}", body, qos=1)
        self.sent += 1

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        now = time.time()
        body = json.loads(message.payload)
        name = message.topic.removeprefix(f"{BASE}/")
        if name == "result":
            self.verdicts.append((now, body))
        elif name == "health":
            self.health = body
        elif name == "status":
            self.states.append(body["state"])
        elif (
            kind := name.removeprefix("response/")
        ) in _VALID_REQUESTS:  # ignores copies on other topics
            self.answers[body["status"]] += 1
            if (body["transaction"] or "").startswith(_PROBE) and body["status"] == "ok":
                self.accepted.add(kind)


def _set_nodelay(_client: object, _data: object, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _process(daemon: Daemon) -> dict[str, float]:
    assert daemon.process is not None
    process = psutil.Process(daemon.process.pid)
    return {
        "memory, MB": process.memory_info().rss / 1e6,
        "threads": process.num_threads(),
        "open files": process.num_fds(),
    }


def _late_ms(listener: Listener, since: float, until: float) -> list[float]:
    """Milliseconds from capture to arrival, for the camera with 10 frames/s."""
    found = []
    for at, body in list(listener.verdicts):
        taken = datetime.fromisoformat(body["captured_at"]).timestamp()
        if body["camera"] == "top" and since <= taken <= until:
            found.append((at - taken) * 1000)
    return found


def _line(name: str, values: list[float]) -> str:
    if not values:
        return f"{name:22} no verdicts"
    p50, p99 = np.percentile(values, [50, 99])
    times = f"p50 {p50:6.1f}  p99 {p99:6.1f}  max {max(values):6.1f}"
    return f"{name:22} {len(values):5} verdicts  {times}"


@dataclass(frozen=True)
class Outcome:
    """The result of a flood. `late_ms`: delays before, during and after it."""

    sent: int
    heard: int
    answers: Counter[str]
    refused: int
    dropped: int
    before: dict[str, float]
    after: dict[str, float]
    late_ms: tuple[list[float], list[float], list[float]]
    took_s: float
    alive: bool
    log_lines: int

    def promises(self, growth_mb: float) -> dict[str, bool]:
        """Each promise, and whether it holds."""
        grown = self.after["memory, MB"] - self.before["memory, MB"]
        return {
            "the daemon still runs": self.alive,
            "every message was received": self.heard == self.sent,
            "each was accepted, refused or dropped, and counted": self.refused
            + self.answers["ok"]
            + self.dropped
            == self.sent,
            f"memory grew by less than {growth_mb:g} MB": grown < growth_mb,
            "no more threads and files": self.after["threads"] <= self.before["threads"]
            and self.after["open files"] <= self.before["open files"] + 2,
        }


def run(
    folder: Path, *, count: int, per_s: float, allowed_per_s: float, quiet_s: float, seed: int
) -> Outcome:
    """Runs one flood against one daemon and one mosquitto."""
    broker = Mosquitto(folder / "broker", "allow_anonymous true", *_BROKER_OPTIONS)
    broker.start()
    daemon = Daemon(folder, _config(broker.port, allowed_per_s))
    listener, attacker = Listener(broker.port), None
    try:
        daemon.start()
        wait_until(lambda: len(listener.verdicts) > 20, "twenty verdicts", _WAIT_S)
        attacker = Attacker(broker.port)
        attacker.send(min(2000, count), per_s, seed + 1)  # warm-up before the measurement
        wait_until(lambda: _counted(listener) >= attacker.sent, "the first ones counted", _WAIT_S)
        listener.send_valid_requests()  # this opens the connection for pictures
        first, before = attacker.sent, _process(daemon)
        marks = [time.time()]
        time.sleep(quiet_s)
        marks.append(time.time())
        took = attacker.send(count, per_s, seed)
        wait_until(lambda: _counted(listener) >= first + count, "all of them counted", _WAIT_S)
        marks.append(time.time())
        time.sleep(quiet_s)
        listener.send_valid_requests()
        after = _process(daemon)
        marks.append(time.time())
        total = attacker.sent + listener.sent
        wait_until(
            lambda: min(_counted(listener), _settled(listener)) >= total,
            "the last ones counted and settled",
            _WAIT_S,
        )
        requests = listener.health["requests"]
        assert daemon.process is not None
        alive = daemon.process.poll() is None and daemon.stop() == 0
        return Outcome(
            sent=total,
            heard=requests["heard"],
            answers=listener.answers,
            refused=requests["refused"],
            dropped=requests["dropped"],
            before=before,
            after=after,
            late_ms=(
                _late_ms(listener, marks[0], marks[1]),
                _late_ms(listener, marks[1], marks[2]),
                _late_ms(listener, marks[2], marks[3]),
            ),
            took_s=took,
            alive=alive,
            log_lines=daemon.log.count("\n"),
        )
    finally:
        daemon.close()
        if attacker is not None:
            attacker.close()
        listener.close()
        broker.close()


def _counted(listener: Listener) -> int:
    return int(listener.health.get("requests", {}).get("heard", 0))


def _settled(listener: Listener) -> int:
    """Requests that were accepted, refused or dropped."""
    requests = listener.health["requests"]
    return int(listener.answers["ok"] + requests["refused"] + requests["dropped"])


def _config(port: int, allowed_per_s: float) -> dict[str, Any]:
    return {
        "station": "line1",
        "model": {"path": str(ROOT / "tests" / "models" / "redness.tflite")},
        "cameras": [
            {"id": "top", "source": "test:", "fps": 10},
            {"id": "parts", "source": "test:", "fps": 10, "trigger": {"kind": "request"}},
        ],
        "mqtt": {"port": port, "max_requests_per_s": allowed_per_s},
        "health": {"interval_s": 0.5},
    }


def main() -> int:
    """Runs the flood. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="messages (default 10000)")
    parser.add_argument(
        "--per-s", type=float, default=1000.0, help="messages per second (default 1000)"
    )
    parser.add_argument(
        "--quiet-s", type=float, default=30.0, help="seconds of quiet before and after the flood"
    )
    parser.add_argument("--allowed-per-s", type=float, default=10_000.0,
                        help="mqtt.max_requests_per_s (default 10000, the maximum)")  # fmt: skip
    parser.add_argument("--growth-mb", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hostile-requests-"))
    try:
        outcome = run(
            folder, count=arguments.count, per_s=arguments.per_s, seed=arguments.seed,
            allowed_per_s=arguments.allowed_per_s, quiet_s=arguments.quiet_s,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{arguments.count} messages in {outcome.took_s:.0f} s, "
          f"mqtt.max_requests_per_s {arguments.allowed_per_s:g}")  # fmt: skip
    return _show(outcome, arguments.growth_mb)


def _show(outcome: Outcome, growth_mb: float) -> int:
    print(f"sent {outcome.sent}, with warm-up and valid requests: received "
          f"{outcome.heard}, refused {outcome.refused}, accepted {outcome.answers['ok']}, "
          f"over the rate limit {outcome.dropped}; answers received {outcome.answers.total()}; "
          f"lines in the log {outcome.log_lines}")  # fmt: skip
    for name, value in outcome.before.items():
        print(f"{name:22} before {value:7.1f}  after {outcome.after[name]:7.1f}")
    print("capture → verdict received, ms")
    for name, values in zip(("without the flood", "with it", "after it"), outcome.late_ms):
        print("  " + _line(name, values))
    promises = outcome.promises(growth_mb)
    for name, holds in promises.items():
        print(f"{'holds  ' if holds else 'BROKEN'} {name}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

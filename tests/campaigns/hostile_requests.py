"""Malformed and hostile requests against a box at work: a real mosquitto, the whole daemon with a
camera of 10 frames a second, and `--count` bad messages on `request/…`.

`python -m tests.campaigns.hostile_requests --count 100000` takes about four minutes. It prints:

- how many messages were answered, refused and counted,
- the daemon's memory, threads and files before and after,
- how late verdicts were without and with the flood.

Exit code 1 when the daemon ended, lost count, left a right request without its answer, or grew by
more than `--growth-mb`.
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
# the tests' broker saves to disk at each message: it would be the broker that is measured
_FAST = ("persistence false", "set_tcp_nodelay true")
_WAIT_S = 120.0
_PROBE = "still there?"
_RIGHT: dict[str, dict[str, str]] = {
    "trigger": {"camera": "parts"},
    "snapshot": {"camera": "top"},
    "reload": {},
}


class Listener:
    """Hears verdicts, answers and health, each with the moment it came."""

    def __init__(self, port: int) -> None:
        self.verdicts: list[tuple[float, dict[str, Any]]] = []
        self.answers: Counter[str] = Counter()
        self.probed: set[str] = set()  # the right requests that were taken
        self.health: dict[str, Any] = {}
        self.states: list[str] = []
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener")
        self._client.on_message = self._take
        self._client.on_socket_open = _at_once
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        for name in ("result", "health", "status", "response/#"):
            self._client.subscribe(f"{BASE}/{name}", qos=1)
        assert ready.wait(_WAIT_S)

    def ask_rightly(self) -> None:
        """One right request of each kind. Returns when all are answered with `ok`."""
        self.probed.clear()
        for name, fields in _RIGHT.items():
            body = json.dumps({"transaction": _PROBE + str(time.time()), **fields})
            self._client.publish(f"{BASE}/request/{name}", body, qos=1)
        wait_until(lambda: self.probed == {*_RIGHT}, "answers to right requests", _WAIT_S)

    def close(self) -> None:
        """Leaves."""
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        now = time.time()
        body = json.loads(message.payload)
        name = message.topic.removeprefix(f"{BASE}/")
        if name == "result":
            self.verdicts.append((now, body))
        elif name == "health":
            self.health = body
        elif name == "status":
            self.states.append(body["state"])
        elif (kind := name.removeprefix("response/")) in _RIGHT:  # not a copy elsewhere
            self.answers[body["status"]] += 1
            if (body["transaction"] or "").startswith(_PROBE) and body["status"] == "ok":
                self.probed.add(kind)


def _at_once(_client: object, _data: object, sock: Any) -> None:
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
    """From the picture's moment to the arrival at the listener, for the camera of 10 a second."""
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
    times = f"p50 {p50:6.1f}  p99 {p99:6.1f}  most {max(values):6.1f}"
    return f"{name:22} {len(values):5} verdicts  {times}"


@dataclass(frozen=True)
class Outcome:
    """What a flood did. `late_ms`: before, during and after it."""

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
        """Each promise, and whether it was kept."""
        grown = self.after["memory, MB"] - self.before["memory, MB"]
        return {
            "the daemon lives": self.alive,
            "every message was heard": self.heard == self.sent,
            "each was taken, refused or dropped, and counted": self.refused
            + self.answers["ok"]
            + self.dropped
            == self.sent,
            f"memory grew by less than {growth_mb:g} MB": grown < growth_mb,
            "no thread and no file more": self.after["threads"] <= self.before["threads"]
            and self.after["open files"] <= self.before["open files"] + 2,
        }


def run(
    folder: Path, *, count: int, per_s: float, allowed_per_s: float, quiet_s: float, seed: int
) -> Outcome:
    """One daemon, one mosquitto, one flood."""
    broker = Mosquitto(folder / "broker", "allow_anonymous true", *_FAST)
    broker.start()
    daemon = Daemon(folder, _config(broker.port, allowed_per_s))
    listener, attacker = Listener(broker.port), None
    try:
        daemon.start()
        wait_until(lambda: len(listener.verdicts) > 20, "twenty verdicts", _WAIT_S)
        attacker = Attacker(broker.port)
        attacker.fire(min(2000, count), per_s, seed + 1)  # what is allocated once, before we look
        wait_until(lambda: _counted(listener) >= attacker.sent, "the first ones counted", _WAIT_S)
        listener.ask_rightly()  # the connection for pictures stands after that
        first, before = attacker.sent, _process(daemon)
        marks = [time.time()]
        time.sleep(quiet_s)
        marks.append(time.time())
        took = attacker.fire(count, per_s, seed)
        wait_until(lambda: _counted(listener) >= first + count, "all of them counted", _WAIT_S)
        marks.append(time.time())
        time.sleep(quiet_s)
        listener.ask_rightly()
        after = _process(daemon)
        marks.append(time.time())
        total = attacker.sent + 2 * len(_RIGHT)
        wait_until(lambda: _counted(listener) >= total, "the last ones counted", _WAIT_S)
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
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="messages (default 10000)")
    parser.add_argument("--per-s", type=float, default=1000.0, help="their pace (default 1000)")
    parser.add_argument("--quiet-s", type=float, default=30.0, help="before and after it")
    parser.add_argument("--allowed-per-s", type=float, default=10_000.0,
                        help="mqtt.max_requests_per_s (default 10000, the most)")  # fmt: skip
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
    print(f"sent {outcome.sent}, with those before the measurement and the right ones: heard "
          f"{outcome.heard}, refused {outcome.refused}, taken {outcome.answers['ok']}, "
          f"too many a second {outcome.dropped}; answers received {outcome.answers.total()}; "
          f"lines in the log {outcome.log_lines}")  # fmt: skip
    for name, value in outcome.before.items():
        print(f"{name:22} before {value:7.1f}  after {outcome.after[name]:7.1f}")
    print("picture taken → verdict received, ms")
    for name, values in zip(("without the flood", "with it", "after it"), outcome.late_ms):
        print("  " + _line(name, values))
    promises = outcome.promises(growth_mb)
    for name, kept in promises.items():
        print(f"{'kept  ' if kept else 'BROKEN'} {name}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

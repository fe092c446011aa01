"""Random recipe changes between triggers: the whole daemon with a real mosquitto, two cameras and
four recipes with different models.

    python -m tests.campaigns.recipe_changes --changes 5000

Each part asks for a recipe in its trigger, or takes the one that `request/recipe` chose before it.
Some ask for a recipe that does not exist. Every verdict must carry the recipe of its part, and the
model and thresholds of that recipe. Exit code 1 when one does not, when a part has no verdict or
two, when an unknown recipe gives another verdict than `error`, or when the 99th percentile of a
change of a loaded recipe is 50 ms or more.

Prints the times from `request/recipe` to its answer, which comes when the change is on the disk.
With `--model FILE` it also measures copies of that model: the memory of each further recipe, and
the time of a change when the budget has room for half of them.
"""

import argparse
import json
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.storage import verify_journal
from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon

BASE = "inspection/line1"
CAMERAS = ("left", "right")
UNKNOWN = 999
_LIMIT_MS = 50.0
_ANSWER_S = 60.0


@dataclass(frozen=True, slots=True)
class Product:
    """A recipe and how its verdicts are recognised: by thresholds that no other recipe has."""

    number: int
    name: str
    model: Path
    reject_at: float

    def section(self) -> dict[str, Any]:
        """As config.yaml holds it."""
        return {
            "number": self.number,
            "name": self.name,
            "model": str(self.model),
            "decision": {"reject_at": self.reject_at, "review_from": self.reject_at},
        }


@dataclass(slots=True)
class Line:
    """The plant: its requests, answers and verdicts, by transaction or part."""

    asked: dict[str, int] = field(default_factory=dict)  # recipe by part
    sent: dict[str, float] = field(default_factory=dict)  # monotonic seconds by transaction
    answered: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def connect(self, port: int) -> paho.Client:
        """Subscribes to answers and verdicts."""
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="line")
        ready = threading.Event()
        client.max_inflight_messages_set(1000)
        client.on_message = self._on_message
        client.on_subscribe = lambda *_: ready.set()
        client.on_socket_open = _set_nodelay
        client.connect("127.0.0.1", port)
        client.loop_start()
        client.subscribe([(f"{BASE}/result", 1), (f"{BASE}/response/#", 1), (f"{BASE}/status", 1)])
        assert ready.wait(_ANSWER_S)
        return client

    def wait(self, condition: Any, seconds: float = _ANSWER_S) -> bool:
        """Whether the condition becomes true within `seconds`."""
        with self.changed:
            return bool(self.changed.wait_for(condition, seconds))

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        now, body = time.monotonic(), json.loads(message.payload)
        with self.changed:
            if message.topic.endswith("/result"):
                self.results.append(body)
            elif "/response/" in message.topic:
                self.answered[body["transaction"]] = now, body
            elif body["state"] == "online":
                self.answered["online"] = now, body
            self.changed.notify_all()


def _set_nodelay(_client: object, _data: object, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Campaign:
    """One daemon with four recipes, and a line that changes products."""

    def __init__(
        self,
        folder: Path,
        port: int,
        products: list[Product],
        recipes_mb: float,
        plain: dict[str, Any] | None = None,
    ) -> None:
        """`plain`: what config.yaml says of the models; None: what tests/models needs."""
        self.products = products
        folder.mkdir(exist_ok=True)
        said = {"labels": ["ok", "red"], "scaling": "0-1"} if plain is None else plain
        trigger = {"kind": "request", "deadline_ms": 20_000, "queue": 60}
        self.daemon = Daemon(
            folder,
            {
                "station": "line1",
                "model": {
                    "path": str(products[0].model),
                    "recipes_mb": recipes_mb,
                    **said,
                },
                "decision": {"reject_at": 0.5},
                "recipes": [one.section() for one in products],
                "cameras": [
                    {
                        "id": name,
                        "source": "test:",
                        "fps": 60,
                        "width": 64,
                        "height": 48,
                        "trigger": trigger,
                    }
                    for name in CAMERAS
                ],
                "mqtt": {
                    "port": port,
                    "allow_requests": ["recipe"],
                    "max_requests_per_s": 10_000,
                },
            },
        )
        self.line = Line()
        self.daemon.start()
        self.client = self.line.connect(port)
        if not self.line.wait(lambda: "online" in self.line.answered):
            raise SystemExit(f"recipe_changes: the daemon does not start\n{self.daemon.log}")
        self._number = 0

    @property
    def pid(self) -> int:
        """The process of the daemon."""
        assert self.daemon.process is not None
        return self.daemon.process.pid

    def choose(self, camera: str, number: int) -> str:
        """Requests a recipe. Returns the transaction."""
        return self._send("recipe", {"camera": camera, "recipe": number})

    def trigger(self, camera: str, expected: int, recipe: int | None) -> str:
        """Triggers a part whose recipe must be `expected`."""
        self._number += 1
        part = f"P{self._number}"
        self.line.asked[part] = expected
        more = {} if recipe is None else {"recipe": recipe}
        return self._send("trigger", {"camera": camera, "part": part, **more})

    def run(self, changes: int, rng: random.Random) -> None:
        """Random changes, each followed by up to three parts. Waits for all verdicts."""
        known = [one.number for one in self.products]
        current: dict[str, int] = {}
        for camera in CAMERAS:
            current[camera] = rng.choice(known)
            self.choose(camera, current[camera])
        for index in range(changes):
            camera = rng.choice(CAMERAS)
            wanted = UNKNOWN if rng.random() < 0.02 else rng.choice(known)
            current[camera] = wanted
            if rng.random() < 0.5:
                self.choose(camera, wanted)
            else:
                self.trigger(camera, wanted, wanted)
            for _ in range(rng.choice((0, 1, 1, 2))):
                side = rng.choice(CAMERAS)
                self.trigger(side, current[side], None)
            if index % 20 == 19:  # as many parts wait as a queue holds, never more
                self._catch_up()
        self._catch_up()

    def _send(self, name: str, body: dict[str, Any]) -> str:
        transaction = f"t{len(self.line.sent)}"
        self.line.sent[transaction] = time.monotonic()
        text = json.dumps({"transaction": transaction, **body})
        self.client.publish(f"{BASE}/request/{name}", text, qos=1)
        return transaction

    def _catch_up(self) -> None:
        wanted = len(self.line.asked)
        if not self.line.wait(lambda: len({r["part"] for r in self.line.results}) >= wanted):
            print(f"{wanted} parts, {len(self.line.results)} verdicts; the daemon's log ends:")
            print("\n".join(self.daemon.log.splitlines()[-10:]))
            raise SystemExit("recipe_changes: verdicts are missing")

    def check(self) -> bool:
        """Prints what was found. Returns whether every promise holds."""
        by_number = {one.number: one for one in self.products}
        parts = Counter(result["part"] for result in self.line.results)
        wrong, errors = [], Counter[str]()
        for result in self.line.results:
            asked = self.line.asked[result["part"]]
            recipe = (result["recipe"] or {}).get("number")
            product = by_number.get(asked)
            if recipe != asked:
                wrong.append(f"{result['part']} asked for {asked} and carries {recipe}")
            elif product is None and result["verdict"] != "error":
                wrong.append(f"{result['part']} of unknown recipe {asked}: {result['verdict']}")
            elif result["verdict"] == "error":
                errors["unknown recipe" if product is None else str(result["reason"])[:90]] += 1
            elif product and result["thresholds"]["reject_at"] != product.reject_at:
                wrong.append(f"{result['part']} of {asked}: thresholds of another recipe")
            elif product and result["model"]["name"] != product.model.stem:
                wrong.append(f"{result['part']} of {asked}: model {result['model']['name']}")
        twice = [part for part, count in parts.items() if count > 1]
        missing = set(self.line.asked) - set(parts)
        verdicts = Counter(result["verdict"] for result in self.line.results)
        print(f"parts {len(self.line.asked)}, verdicts {dict(verdicts)}")
        for reason, count in errors.most_common(5):
            print(f"  error {count:6}  {reason}")
        print(f"missing {len(missing)}, twice {len(twice)}, of a wrong recipe {len(wrong)}")
        for sentence in wrong[:10]:
            print(f"  {sentence}")
        unexpected = sum(errors.values()) - errors["unknown recipe"]
        return not (wrong or twice or missing or unexpected)

    def switch_times(self, changes: int, rng: random.Random) -> list[float]:
        """Changes one at a time: milliseconds from the request to the answer."""
        found = []
        known = [one.number for one in self.products]
        for index in range(changes):
            transaction = self.choose(CAMERAS[index % 2], rng.choice(known))
            if not self.line.wait(lambda wanted=transaction: wanted in self.line.answered):
                raise SystemExit("recipe_changes: no answer to request/recipe")
            at, body = self.line.answered[transaction]
            assert body["status"] == "ok", body
            found.append((at - self.line.sent[transaction]) * 1000)
        return found

    def close(self) -> None:
        """Stops all."""
        self.daemon.stop()
        self.client.disconnect()
        self.client.loop_stop()


def products(folder: Path) -> list[Product]:
    """Four models of different content and name, with their own thresholds."""
    names = ("plain-int8-0-1", "plain-uint8-0-1", "plain-int16-0-1", "plain-float32-0-1")
    found = []
    for number, name in enumerate(names, 1):
        model = folder / f"{name}.tflite"
        shutil.copy(MODELS / model.name, model)
        found.append(Product(number * 11, name, model, 0.5 + number / 20))
    return found


def measure_model(folder: Path, port: int, model: Path, rng: random.Random) -> None:
    """Prints memory and times with copies of a model."""
    before, copies = 0.0, []
    for number in range(1, 5):
        copy = folder / f"copy{number}.tflite"
        shutil.copy(model, copy)
        copies.append(Product(number, copy.stem, copy, 0.5))
        campaign = Campaign(folder / f"memory{number}", port, copies, 256, plain={})
        found = pss_mb(campaign.pid)
        campaign.close()
        more = "" if number == 1 else f", {found - before:+.1f} MB"
        print(f"{number} recipes of {model.stat().st_size / 1e6:.2f} MB: PSS {found:.1f} MB{more}")
        before = found
    for budget, name in ((256, "change, all are loaded"), (1, "change, loaded on demand")):
        campaign = Campaign(folder / f"budget{budget}", port, copies, budget, plain={})
        summary(name, campaign.switch_times(100, rng))
        campaign.close()


def pss_mb(pid: int) -> float:
    """The proportional memory of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1e3


def summary(name: str, values: list[float]) -> float:
    """Prints the distribution, and returns the 99th percentile."""
    p50, p99 = np.percentile(values, [50, 99])
    print(f"{name}: n {len(values)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(values):.1f} ms")
    return float(p99)


def main() -> int:
    """Runs the campaign. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--changes", type=int, default=5000, help="(default 5000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, help="also measure copies of this model file")
    parser.add_argument("--any-speed", action="store_true", help="the times do not count")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        options = "allow_anonymous true", "set_tcp_nodelay true"
        broker = Mosquitto(Path(folder) / "broker", *options)
        broker.start()
        try:
            campaign = Campaign(Path(folder), broker.port, products(Path(folder)), 256)
            try:
                campaign.run(arguments.changes, rng)
                held = campaign.check()
                p99 = summary("change of a loaded recipe", campaign.switch_times(200, rng))
            finally:
                campaign.close()
            report = verify_journal(campaign.daemon.outbox.with_name("journal.jsonl"))
            print(f"journal: {report.entries} entries, {report.problem or 'the chain is whole'}")
            if arguments.model:
                measure_model(Path(folder), broker.port, arguments.model, rng)
        finally:
            broker.close()
    fast = p99 < _LIMIT_MS or arguments.any_speed
    return 0 if held and fast and report.problem is None else 1


if __name__ == "__main__":
    sys.exit(main())

"""Two products on one line, with the pictures of `make demo`: python -m scripts.two_products

Product 1 are the monocrystalline solar cells of the demo, judged by the demo's model. Product 2 are
polycrystalline cells, for which this script trains a model of its own (some minutes, once).
Cells of both arrive in turns. Before each batch the line asks for its recipe over MQTT, and each
verdict says by which recipe it was judged. At the end the journal names every change.
"""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from scripts.demo import CONVERSION, DATA, HERE, MODEL, DemoError, call, free_port, is_older
from trainer.data.elpv import COMPLETE_MARK

FOLDER = HERE / "two-products"
POLY, POLY_RUN, POLY_MODEL = FOLDER / "poly", FOLDER / "run", FOLDER / "poly.tflite"
CONFIG, BELT = FOLDER / "config.yaml", FOLDER / "belt"
TOPIC = "inspection/two-products"
NAMES = {1: "mono-cells", 2: "poly-cells"}
BATCHES, CELLS = 8, 5
TRAINING = ("--network", "pretrained", "--frozen", "--no-baseline", "--name", "poly-cells")
_WAIT_S = 60.0


class Line:
    """The plant's side: asks for recipes and collects verdicts."""

    def __init__(self, port: int) -> None:
        self.verdicts: list[dict[str, Any]] = []
        self._answers: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{TOPIC}/#", 1)
        self._client.on_message = self._on_message
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                self._client.connect("127.0.0.1", port)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def choose(self, recipe: int, transaction: str) -> dict[str, Any]:
        """The answer to a request for a recipe. Raises DemoError."""
        body = {"transaction": transaction, "recipe": recipe, "by": "two_products"}
        self._client.publish(f"{TOPIC}/request/recipe", json.dumps(body), qos=1)
        self._wait(lambda: transaction in self._answers, "an answer to request/recipe")
        answer = self._answers[transaction]
        if answer["status"] != "ok":
            raise DemoError(f"the box refuses recipe {recipe}: {answer['error']}")
        data: dict[str, Any] = answer["data"]
        return data

    def wait_for_verdicts(self, count: int) -> None:
        """Until so many have come in all."""
        self._wait(lambda: len(self.verdicts) >= count, f"{count} verdicts")

    def _wait(self, condition: Any, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, _WAIT_S):
                raise DemoError(f"{what} did not come within {_WAIT_S:g} s; see the log above")

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            if message.topic == f"{TOPIC}/result":
                self.verdicts.append(json.loads(message.payload))
            elif message.topic == f"{TOPIC}/response/recipe":
                answer = json.loads(message.payload)
                self._answers[answer["transaction"]] = answer
            self._changed.notify_all()


def main() -> int:
    """Prints each verdict with its recipe. Exit code 0 when each is by the recipe of its cell."""
    try:
        prepare()
        return run()
    except DemoError as error:
        sys.stderr.write(f"\nThe example stopped: {error}\n")
        return 1


def prepare() -> None:
    """The second product's pictures and model, and config.yaml."""
    if not MODEL.exists():
        raise DemoError("it needs the pictures and the model of the demo; run: make demo")
    FOLDER.mkdir(parents=True, exist_ok=True)
    call("trainer", "elpv", "--cells", "poly", "-o", str(POLY))
    if is_older(POLY_RUN / "model.keras", POLY / COMPLETE_MARK):
        call("trainer", str(POLY), "-o", str(POLY_RUN), *TRAINING)
    keras = POLY_RUN / "model.keras"
    if is_older(POLY_MODEL, keras):
        call("converter", str(keras), "--data", str(POLY), "-o", str(POLY_MODEL), *CONVERSION)
    for old in (BELT, FOLDER / "state"):
        shutil.rmtree(old, ignore_errors=True)
    BELT.mkdir()


def config(port: int) -> dict[str, Any]:
    """config.yaml of a line with two products."""
    return {
        "station": TOPIC.partition("/")[2],
        "recipes": [
            {"number": 1, "name": NAMES[1], "model": str(MODEL.resolve())},
            {"number": 2, "name": NAMES[2], "model": str(POLY_MODEL.resolve())},
        ],
        "cameras": [{"id": "cam1", "source": f"folder:{BELT.name}"}],
        "mqtt": {"embedded": True, "port": port, "allow_requests": ["reload", "recipe"]},
        "outbox": {"path": "state/outbox.db"},
    }


def run() -> int:
    """Runs the daemon and the line. Returns the exit code."""
    port = free_port()
    CONFIG.write_text(yaml.safe_dump(config(port), sort_keys=False))
    daemon = subprocess.Popen([sys.executable, "-m", "edge", "run", "-c", str(CONFIG)])
    line = None
    try:
        line = Line(port)
        batches(line)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=60)
        if line is not None:
            line.close()
    print("\nWho changed what (edge-inspect journal):", flush=True)
    call("edge", "journal", "-c", str(CONFIG))
    wrong = [one for one in line.verdicts if product_of(one["part"]) != one["recipe"]["number"]]
    print(f"\n{summary(line.verdicts)}\nverdicts by another product's recipe: {len(wrong)}")
    return int(bool(wrong))


def batches(line: Line) -> None:
    """Cells of both products in turns; before each batch its recipe."""
    rng = random.Random(1)
    pictures = {
        1: sorted((DATA / "test").rglob("*.png")),
        2: sorted((POLY / "test").rglob("*.png")),
    }
    for batch in range(BATCHES):
        product = batch % 2 + 1
        answer = line.choose(product, f"batch-{batch}")
        print(f"\nbatch {batch + 1}: recipe {product} ({answer['recipe']['name']})", flush=True)
        before = len(line.verdicts)
        for number, picture in enumerate(rng.sample(pictures[product], CELLS)):
            name = f"{product}-{batch}-{number}-{picture.parent.name}-{picture.name}"
            shutil.copy(picture, BELT / f".{name}")
            (BELT / f".{name}").rename(BELT / name)  # a camera's picture appears whole
        line.wait_for_verdicts(before + CELLS)
        for one in line.verdicts[before:]:
            print(verdict_line(one), flush=True)


def product_of(part: str) -> int:
    """The product of a cell, which its name begins with."""
    return int(Path(part).name.partition("-")[0])


def verdict_line(body: dict[str, Any]) -> str:
    """A verdict for people."""
    truth = Path(body["part"]).name.split("-")[3]
    recipe, score = body["recipe"], body["score"]
    shown = "  –  " if score is None else f"{score:.3f}"
    return (
        f"  {body['verdict']:<6} {shown}  recipe {recipe['number']} {recipe['name']:<10} "
        f"model {body['model']['name']:<12} truth {truth}"
    )


def summary(verdicts: list[dict[str, Any]]) -> str:
    """How many verdicts of each kind each recipe gave."""
    counts = Counter((one["recipe"]["name"], one["verdict"]) for one in verdicts)
    return "\n".join(
        f"{name:<12}"
        + "  ".join(
            f"{kind} {counts[name, kind]:>3}" for kind in ("pass", "review", "fail", "error")
        )
        for name in NAMES.values()
    )


if __name__ == "__main__":
    sys.exit(main())

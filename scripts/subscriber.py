"""An independent subscriber: counts and checks every `result` against the published schema, and
writes one line of JSON per verdict."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

SCHEMA = Path(__file__).parent.parent / "docs" / "schema" / "result.schema.json"


class Subscriber:
    """Collects `result` bodies, and the newest `health`."""

    def __init__(self, topic: str) -> None:
        self.results: list[dict[str, Any]] = []
        self.health: dict[str, Any] = {}
        self.last_at = time.monotonic()
        self.problems: list[str] = []
        self._topic = topic
        self._validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="demo-subscriber", protocol=mqtt.MQTTv311
        )
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def listen(self, host: str, port: int, timeout_s: float) -> None:
        """Connects; retries until the broker accepts or the patience ends."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._client.connect(host, port)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def check(self, parts: set[str]) -> list[str]:
        """The problems of the verdicts; empty when each part has exactly one valid verdict."""
        problems = list(self.problems)
        received = [body["part"] for body in self.results]
        ids = {body["id"] for body in self.results}
        numbers = [body["seq"] for body in self.results]
        if len(ids) != len(self.results):
            problems.append(f"{len(self.results) - len(ids)} ids are not unique")
        if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            problems.append("seq has gaps or is out of order")
        if missing := parts - set(received):
            problems.append(f"{len(missing)} pictures have no verdict, for example {min(missing)}")
        if len(received) != len(set(received)) or set(received) - parts:
            problems.append("some pictures have two verdicts, or are unknown")
        return problems

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe([(f"{self._topic}/result", 1), (f"{self._topic}/health", 1)])

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        body = json.loads(message.payload)
        if message.topic.endswith("/health"):
            self.health = body
            return
        if not message.topic.endswith("/result"):
            return  # amqtt sometimes sends a retained `status` without a subscription
        self.last_at = time.monotonic()
        problem = next(iter(self._validator.iter_errors(body)), None)
        if problem is not None:
            self.problems.append(f"verdict {body.get('seq')} does not match the schema: {problem}")
        self.results.append(body)


def main() -> int:
    """Exit code 0 when each picture has exactly one valid verdict, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--topic", required=True, help="<prefix>/<station>")
    parser.add_argument("--pictures", type=Path, required=True, help="folder that is replayed")
    parser.add_argument(
        "--output", type=Path, required=True, help="receives one line of JSON per verdict"
    )
    parser.add_argument("--patience", type=float, default=60, help="seconds without a verdict")
    arguments = parser.parse_args()
    pictures = (p for p in arguments.pictures.rglob("*") if p.suffix in (".png", ".jpg", ".bmp"))
    parts = {path.relative_to(arguments.pictures).as_posix() for path in pictures}
    subscriber = Subscriber(arguments.topic)
    subscriber.listen(arguments.host, arguments.port, arguments.patience)
    patience = arguments.patience
    while time.monotonic() - subscriber.last_at < patience:
        time.sleep(0.05)
        if len(subscriber.results) >= len(parts):
            patience = 2.0  # time for surplus verdicts to arrive
    subscriber.close()
    lines = "".join(json.dumps(body) + "\n" for body in subscriber.results)
    arguments.output.write_text(lines)
    arguments.output.with_suffix(".health.json").write_text(json.dumps(subscriber.health))
    problems = subscriber.check(parts)
    for problem in problems:
        sys.stderr.write(f"subscriber: {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

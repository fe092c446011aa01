"""Hears `health` of the measured daemon, and looks at its processes at the same moment."""

import datetime
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.core.errors import RefusedError

_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class HealthSample:
    """One `health`: its body, when it was measured (seconds since the epoch, by its own clock),
    when it came (monotonic seconds), and the CPU seconds of the daemon's processes then."""

    body: dict[str, Any]
    measured: float
    came: float
    cpu_s: float

    @property
    def acked(self) -> int:
        """Verdicts that were stored, sent and acknowledged."""
        return int(self.body["outbox"]["acked"])

    @property
    def verdicts(self) -> int:
        """Verdicts of every kind."""
        return sum(self.body["verdicts"].values())

    @property
    def errors(self) -> int:
        """Verdicts `error`, and what went wrong beside."""
        return int(self.body["verdicts"]["error"]) + int(self.body["outbox"]["dropped"])

    @property
    def what_went_wrong(self) -> str:
        """The errors as a sentence's end, with what the daemon says of them."""
        said = list(self.body["faults"])
        for name, camera in self.body["cameras"].items():
            doubts = [f"{count} {kind}" for kind, count in camera["distrusted"].items() if count]
            said += [f"camera {name}: {', '.join(doubts)}"] if doubts else []
        why = "; ".join(said) or "perhaps decision.deadline_ms passed: is the machine busy?"
        return f"{self.errors} verdicts were errors or dropped ({why})"

    @property
    def frames(self) -> int:
        """Looks of all cameras."""
        return sum(camera["frames"] for camera in self.body["cameras"].values())

    @property
    def skipped(self) -> int:
        """Pictures of live cameras that made way for newer ones."""
        return sum(camera["skipped"] for camera in self.body["cameras"].values())


class Listener:
    """One subscriber, to `health` alone: a Python program that took every verdict would use a core
    that is not the daemon's."""

    def __init__(self, port: int, topic: str) -> None:
        """Subscribes. Raises RefusedError when the broker does not let it."""
        self._lock = threading.Lock()
        self._heard: list[HealthSample] = []
        self._cpu_s: Callable[[], float] = lambda: 0.0
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=topic.replace("/", "-"))
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topic, qos=1)
        if not ready.wait(_PATIENCE_S):
            raise RefusedError("bench: its broker takes no subscription")

    def listen(self, cpu_s: Callable[[], float]) -> None:
        """Forgets what an earlier daemon said. `cpu_s` is asked at each `health`."""
        with self._lock:
            self._heard, self._cpu_s = [], cpu_s

    @property
    def heard(self) -> list[HealthSample]:
        """All since `listen`, in order."""
        with self._lock:
            return list(self._heard)

    def close(self) -> None:
        """Leaves."""
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.retain:
            return  # of a daemon before
        came, cpu_s = time.monotonic(), self._cpu_s()
        body = json.loads(message.payload)
        measured = datetime.datetime.fromisoformat(body["time"]).timestamp()
        with self._lock:
            self._heard.append(HealthSample(body, measured, came, cpu_s))

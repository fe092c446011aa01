"""Receives the health messages of the measured daemon, and samples its CPU time with each."""

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

_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class HealthSample:
    """One health message.

    - `measured`: its time, seconds since the epoch, by the daemon's clock.
    - `received`: when it arrived, monotonic seconds.
    - `cpu_s`: CPU seconds of the daemon's processes at that moment.
    """

    body: dict[str, Any]
    measured: float
    received: float
    cpu_s: float

    @property
    def acked(self) -> int:
        """The number of acknowledged verdicts."""
        return int(self.body["outbox"]["acked"])

    @property
    def verdicts(self) -> int:
        """The number of all verdicts."""
        return sum(self.body["verdicts"].values())

    @property
    def errors(self) -> int:
        """The number of verdicts `error` and of dropped verdicts."""
        return int(self.body["verdicts"]["error"]) + int(self.body["outbox"]["dropped"])

    @property
    def error_text(self) -> str:
        """The errors and the daemon's reasons, as a sentence."""
        reasons = list(self.body["faults"])
        for name, camera in self.body["cameras"].items():
            rejections = [
                f"{count} {kind}" for kind, count in camera["distrusted"].items() if count
            ]
            reasons += [f"camera {name}: {', '.join(rejections)}"] if rejections else []
        reason = (
            "; ".join(reasons) or "perhaps decision.deadline_ms passed because the machine is busy"
        )
        return f"{self.errors} verdicts were errors or dropped ({reason})"

    @property
    def frames(self) -> int:
        """The number of frames that all cameras read."""
        return sum(camera["frames"] for camera in self.body["cameras"].values())

    @property
    def skipped(self) -> int:
        """The number of frames that a newer frame replaced."""
        return sum(camera["skipped"] for camera in self.body["cameras"].values())


class Listener:
    """Subscribes only to `health`: receiving all verdicts would take CPU time from the daemon."""

    def __init__(self, port: int, topic: str) -> None:
        """Subscribes. Raises RefusedError when the broker does not accept it."""
        self._lock = threading.Lock()
        self._samples: list[HealthSample] = []
        self._cpu_s: Callable[[], float] = lambda: 0.0
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=topic.replace("/", "-"))
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topic, qos=1)
        if not ready.wait(_TIMEOUT_S):
            raise RefusedError("bench: the broker does not accept the subscription")

    def listen(self, cpu_s: Callable[[], float]) -> None:
        """Starts an empty list. `cpu_s` is called at each health message."""
        with self._lock:
            self._samples, self._cpu_s = [], cpu_s

    @property
    def health_samples(self) -> list[HealthSample]:
        """All messages since `listen`, in order."""
        with self._lock:
            return list(self._samples)

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.retain:
            return  # from an earlier daemon
        received, cpu_s = time.monotonic(), self._cpu_s()
        body = json.loads(message.payload)
        measured = datetime.datetime.fromisoformat(body["time"]).timestamp()
        with self._lock:
            self._samples.append(HealthSample(body, measured, received, cpu_s))

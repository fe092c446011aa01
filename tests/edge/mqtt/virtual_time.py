"""A publisher, its outbox and a fake broker in one virtual time: `play` runs it to its end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from edge.config import Config
from edge.core.clock import Clock
from edge.core.messages import stored_body
from edge.mqtt.event_queue import EventQueue, Wake
from edge.mqtt.events import Event, OnRequest
from edge.mqtt.failover import Backoff
from edge.mqtt.publisher import Publisher
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxChanges, OutboxRow
from edge.storage.outbox.send_queue import SendQueue
from tests.support.fake_broker import FakeBroker
from tests.support.verdicts import NOON, a_verdict

SESSION = "5" * 32
MAX_STEPS = 20_000


class AckRecorder:
    """Records acknowledgements, and writes them to the outbox after `delay` of them, as the writer
    does: an acknowledgement reaches the disk some time after the PUBACK."""

    def __init__(self, outbox: OutboxDatabase, view: SendQueue, delay: int) -> None:
        self.accepted: list[int] = []
        self.parked: dict[int, str] = {}
        self._outbox, self._view, self._delay = outbox, view, delay
        self._waiting: list[int] = []

    def accept(self, seq: int) -> None:
        """The broker has it."""
        self.accepted.append(seq)
        self._view.done(seq)
        self._waiting.append(seq)
        if len(self._waiting) > self._delay:
            self._outbox.apply(OutboxChanges(accepted=self._waiting), NOON)
            self._waiting = []

    def park(self, seq: int, reason: str) -> None:
        """The broker will never take it."""
        self.parked[seq] = reason
        self._view.done(seq)
        self._outbox.apply(OutboxChanges(parked=[(seq, reason)]), NOON)


class VirtualEventQueue(EventQueue):
    """Waiting in it advances virtual time instead."""

    def __init__(self, broker: FakeBroker) -> None:
        super().__init__(broker.tick)
        self.sleeps: list[float] = []
        self._broker = broker

    def next(self, seconds: float) -> Event | Wake | None:
        """The next event; without one, time passes."""
        event = super().next(0)
        self.sleeps.append(seconds)
        if event is None:
            self._broker.now += seconds
        return event


class PublisherSimulation:
    """`rows` verdicts wait in the outbox; `publisher` sends them to `broker`."""

    def __init__(
        self,
        folder: Path,
        rows: int,
        broker: FakeBroker | None = None,
        *,
        age_s: float = 0.0,
        ack_delay: int = 0,
        version: Literal["auto", "5", "3.1.1"] = "auto",
        backoff: Backoff | None = None,
        may_send: Callable[[], bool] | None = None,
        **mqtt: Any,
    ) -> None:
        """The verdicts were stored `age_s` seconds ago; `mqtt`: more of config.yaml."""
        self.broker = broker or FakeBroker()
        self.events = VirtualEventQueue(self.broker)
        self.outbox = OutboxDatabase(folder / "outbox.db", 2**24, 1e9)
        self.epoch = NOON
        self.view = SendQueue(OutboxReader(folder / "outbox.db"), 0, lambda: self.epoch)
        self.acks = AckRecorder(self.outbox, self.view, ack_delay)
        self.may_send = True
        self.steps = 0
        self.total = 0
        self.closed_in: str | None = None
        self._store(rows, NOON - age_s)
        self.view.file_changed(self.outbox.last, 1)  # as after a start: all rows are in the file
        config = Config.read(
            {
                "station": "line1",
                "model": {"path": "m.tflite"},
                "cameras": [{"id": "top", "source": "test:"}],
                "mqtt": {"version": version, "replay_per_s": 0, **mqtt},
            }
        )
        clock = Clock(now=lambda: self.epoch, tick=self.broker.tick, root=folder)
        self.publisher = Publisher(
            config=config,
            session=SESSION,
            events=self.events,
            rows=self.view,
            acks=self.acks,
            clock=clock,
            connect=self.broker.connect,
            may_send=may_send or (lambda: self.may_send),
            backoff=backoff or Backoff(0.01, 0.02),
        )
        self.broker.on_step = self.step

    def store(self, count: int) -> None:
        """Stores more verdicts."""
        self.view.show(self._store(count, self.epoch), stored=True)
        self.publisher.wake()

    def _store(self, count: int, at: float) -> list[OutboxRow]:
        numbers = range(self.outbox.last + 1, self.outbox.last + count + 1)
        rows = [OutboxRow(number, at, stored_body(a_verdict(), number)) for number in numbers]
        self.outbox.apply(OutboxChanges(rows=rows), at)
        self.total += count
        return rows

    def step(self) -> None:
        """Called whenever time passes: closes the publisher when everything has its answer."""
        self.steps += 1
        if self.settled() or self.steps > MAX_STEPS:
            self.close()

    def play_until(
        self, condition: Callable[[], bool], on_request: OnRequest | None = None
    ) -> None:
        """Runs the publisher until the condition holds, or for MAX_STEPS."""

        def step() -> None:
            self.steps += 1
            if condition() or self.steps > MAX_STEPS:
                self.close()

        self.broker.on_step = step
        self.play(on_request)

    def settled(self) -> bool:
        """Whether each verdict was accepted or parked."""
        return len({*self.acks.accepted, *self.acks.parked}) >= self.total

    def close(self) -> None:
        """Closes the publisher, once."""
        if self.closed_in is None:
            self.closed_in = self.publisher.state
            self.publisher.close(10.0, "stopped by request")

    def play(self, on_request: OnRequest | None = None) -> None:
        """Runs the publisher on the test's thread until it ends."""
        self.publisher.run(on_request)

    def copies(self, seq: int) -> list[dict[str, Any]]:
        """Every copy of a verdict that the broker got."""
        return [body for body in self.broker.bodies("result") if body["seq"] == seq]

    def end(self) -> None:
        """Closes the files."""
        self.view.close()
        self.outbox.close()


def without_replayed(body: dict[str, Any]) -> str:
    """The part of a body that is the same in all copies of a verdict."""
    return json.dumps({k: v for k, v in body.items() if k != "replayed"})

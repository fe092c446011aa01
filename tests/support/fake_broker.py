"""A fake broker with scripted faults, in virtual time and without a thread.

Time passes when the publisher reads its clock; then the broker answers. So a publisher runs on the
test's own thread, and an hour of outage takes a millisecond.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Literal

from paho.mqtt.client import topic_matches_sub

from edge.core.messages import MessageProperties
from edge.mqtt.diagnostics import BrokerConnectionError, OversizeError
from edge.mqtt.events import (
    Connected,
    Event,
    Lost,
    MqttVersion,
    PubAck,
    Received,
    Refused,
    Subscribed,
    SubscribeRefused,
)

Greeting = Literal["accept", "refuse", "absent", "silent", "hang up", "wrong version", "no retain"]
ACCEPT: Greeting = "accept"


@dataclass
class Arrived:
    """A PUBLISH that the broker received."""

    topic: str
    body: dict[str, Any]
    retain: bool
    connection: int
    about: MessageProperties | None = None


@dataclass
class FakeBroker:
    """greetings: the answer to each CONNECT.
    codes: the reason code of each PUBACK.
    cuts: which PUBLISH, counted over all, breaks the connection, before or after the broker has it.
    breaks_on: whether a PUBLISH (topic, body) ends the connection; `breaks_with`: the DISCONNECT's
        code. breaks_on_subscribe: the same for a SUBSCRIBE.
    grants: the answer to each SUBSCRIBE.
    """

    greetings: Iterator[Greeting] = field(default_factory=lambda: repeat(ACCEPT))
    codes: Iterator[int] = field(default_factory=lambda: repeat(0))
    cuts: dict[int, Literal["before", "after", "raise"]] = field(default_factory=dict)
    breaks_on: Callable[[str, bytes], bool] = lambda _topic, _body: False
    breaks_with: int = 0
    breaks_on_subscribe: Callable[[str], bool] = lambda _pattern: False
    grants: Iterator[bool] = field(default_factory=lambda: repeat(True))
    receive_maximum: int = 65535
    largest: int = 2**30
    keepalive_s: int = 30
    reverse: bool = False
    answers_per_step: int = 1000
    now: float = 1000.0
    step_s: float = 0.02
    arrived: list[Arrived] = field(default_factory=list)
    versions: list[MqttVersion] = field(default_factory=list)
    wills: list[tuple[str, bytes]] = field(default_factory=list)
    retains: list[bool] = field(default_factory=list)
    most_unanswered: int = 0
    most_replayed: int = 0  # of these, results of the backlog
    published: int = 0
    connections: int = 0
    said_goodbye: list[int] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    on_step: Callable[[], None] = lambda: None
    connection: "FakeConnection | None" = None

    def tick(self) -> float:
        """The publisher's clock: each call is a step of time, in which the broker answers."""
        self.now += self.step_s
        if self.connection is not None:
            self.connection.answer(self.answers_per_step)
        self.on_step()
        return self.now

    def connect(
        self,
        version: MqttVersion,
        will: tuple[str, bytes],
        on_event: Callable[[Event], None],
        retain: bool = True,
    ) -> "FakeConnection":
        """A ConnectionFactory."""
        self.connections += 1
        self.versions.append(version)
        self.wills.append(will)
        self.retains.append(retain)
        self.connection = FakeConnection(self, self.connections, on_event)
        return self.connection

    def cut(self, why: str = "cut") -> None:
        """Breaks the connection."""
        if self.connection is not None:
            self.connection.lose(why)

    def bodies(self, name: str) -> list[dict[str, Any]]:
        """The bodies that arrived on `…/name`, in order."""
        return [a.body for a in self.arrived if a.topic.endswith(f"/{name}")]


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(body)
    except ValueError:
        return {}
    return parsed


class FakeConnection:
    """One connection to a FakeBroker; keeps the promises of `Connection`."""

    def __init__(self, broker: FakeBroker, number: int, on_event: Callable[[Event], None]) -> None:
        self._broker, self._number, self._on_event = broker, number, on_event
        self._alive = self._closed = False
        self._mid = 0
        self._unanswered: list[int] = []
        self._replayed: set[int] = set()  # results of the backlog among them

    def open(self) -> None:
        """Acts as the next greeting."""
        greeting = next(self._broker.greetings)
        if greeting == "absent":
            raise BrokerConnectionError("no broker answers")
        if greeting == "refuse":
            self._on_event(Refused("the broker refuses no user name", wrong_version=False))
        elif greeting == "no retain" and self._broker.retains[-1]:
            self._on_event(Refused("the broker allows no retained messages", False, no_retain=True))
        elif greeting == "wrong version":
            self._on_event(Refused("the broker refuses us", wrong_version=True))
        elif greeting == "hang up":
            self._on_event(Lost("hung up"))
        elif greeting in ("accept", "no retain"):
            self._alive = True
            self._on_event(Connected(self._broker.receive_maximum, self._broker.keepalive_s))

    def publish(
        self, topic: str, body: bytes, *, retain: bool, about: MessageProperties | None = None
    ) -> int:
        """Records the message, or breaks the connection, as `cuts` says."""
        broker = self._broker
        if len(body) > broker.largest:
            raise OversizeError("too large")
        broker.published += 1
        cut = broker.cuts.get(broker.published)
        if broker.breaks_on(topic, body) and self._alive:
            self._alive = False
            self._on_event(Lost("hung up", code=broker.breaks_with))
            return self._mid + 1
        if not self._alive or cut == "raise":
            self.lose("cannot send")
            raise BrokerConnectionError("cannot send")
        self._mid += 1
        if cut != "before":
            if any(topic_matches_sub(pattern, topic) for pattern in broker.subscribed):
                self.receive(topic, body)
            parsed = _parsed(body)
            broker.arrived.append(Arrived(topic, parsed, retain, self._number, about))
            if topic.endswith("/result") and parsed["replayed"]:
                self._replayed.add(self._mid)
                broker.most_replayed = max(broker.most_replayed, len(self._replayed))
            self._unanswered.append(self._mid)
            broker.most_unanswered = max(broker.most_unanswered, len(self._unanswered))
        if cut is not None:
            self.lose("cut")
        return self._mid

    def subscribe(self, pattern: str) -> None:
        """Records the pattern."""
        if not self._alive:
            raise BrokerConnectionError("cannot subscribe")
        if self._broker.breaks_on_subscribe(pattern):
            self.lose("hung up")
        elif next(self._broker.grants):
            self._broker.subscribed.append(pattern)
            self._on_event(Subscribed(pattern))
        else:
            self._on_event(SubscribeRefused(pattern, "Not authorized"))

    def receive(self, topic: str, body: bytes, *, retained: bool = False) -> None:
        """Delivers a message of another client."""
        if self._alive:
            self._on_event(Received(topic, body, retained))

    def alive(self) -> bool:
        """Whether the connection exists."""
        return self._alive

    def close(self) -> None:
        """DISCONNECT; no event follows."""
        if self._alive:
            self._broker.said_goodbye.append(self._number)
        self._alive, self._closed = False, True

    def answer(self, count: int) -> None:
        """PUBACKs for the oldest (or newest) `count` messages."""
        while self._alive and self._unanswered and count > 0:
            mid = self._unanswered.pop(-1 if self._broker.reverse else 0)
            self._replayed.discard(mid)
            code = next(self._broker.codes)
            self._on_event(PubAck(mid, code, f"reason {code:#04x}"))
            count -= 1

    def lose(self, why: str) -> None:
        """Loses the connection with its unsent PUBACKs."""
        self.lose_with(Lost(why))

    def lose_with(self, lost: Lost) -> None:
        """As `lose`, for a reason."""
        if not self._closed and self._alive:
            self._alive = False
            self._unanswered.clear()
            self._on_event(lost)

"""The events of a broker connection, and the Protocol of the connection itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from edge.core.messages import MessageProperties

MqttVersion = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted the connection.

    receive_maximum: how many messages may wait for their PUBACK.
    keepalive_s: the longest silence that the broker allows; 0: any.
    """

    receive_maximum: int
    keepalive_s: int = 30


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker refused the connection."""

    why: str
    wrong_version: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended. `taken_over`: another client connected with our client id."""

    why: str
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class PubAck:
    """PUBACK for message `mid`. `code` is 0 or a reason code of MQTT 5, `why` its text."""

    mid: int
    code: int
    why: str


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Response topic and correlation data of a request over MQTT 5."""

    topic: str | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message on a subscribed topic."""

    topic: str
    body: bytes
    retained: bool
    reply_to: ReplyTo | None = None


@dataclass(frozen=True, slots=True)
class SubscribeRefused:
    """The broker refused a subscription."""

    pattern: str
    why: str


Event = Connected | Refused | Lost | PubAck | Received | SubscribeRefused


class Connection(Protocol):
    """One connection to one broker. Tests replace it by a broker that breaks the rules."""

    def open(self) -> None:
        """Starts to connect; the outcome comes as an event. Raises BrokerConnectionError."""

    def publish(
        self, topic: str, body: bytes, *, retain: bool, about: MessageProperties | None = None
    ) -> int:
        """Sends with QoS 1; returns the `mid` of its PUBACK. Raises BrokerConnectionError;
        OversizeError when the broker does not take a message of this size."""
        ...

    def subscribe(self, pattern: str) -> None:
        """Subscribes with QoS 1. Raises BrokerConnectionError."""

    def alive(self) -> bool:
        """Whether its thread runs. False: no further event will come."""
        ...

    def close(self) -> None:
        """Sends DISCONNECT, so that the broker does not publish the will. No event follows."""


OnRequest = Callable[[str, bytes, bool, ReplyTo | None], None]  # name, body, retained, reply to
# version, will (topic and body), receiver of the events
ConnectionFactory = Callable[[MqttVersion, tuple[str, bytes], Callable[[Event], None]], Connection]

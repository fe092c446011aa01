"""The events of a broker connection, the Protocol of the connection, and the wait for CONNACK."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from edge.core.messages import MessageProperties
from edge.mqtt.diagnostics import BrokerConnectionError, NotAcceptedError

MqttVersion = Literal["5", "3.1.1"]
CONNACK_TIMEOUT_S = 5.0
MALFORMED = 0x81
MAX_PACKET = 268_435_455  # bytes: the longest packet that MQTT can state
_CLOSING_STEP_S = 1.0  # while CONNACK is awaited, closing is checked at this interval


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted the connection.

    receive_maximum: how many messages may wait for their PUBACK.
    keepalive_s: the longest silence that the broker allows; 0: any.
    keeps_retained: whether it keeps retained messages.
    max_packet: bytes of the longest message that it takes.
    """

    receive_maximum: int
    keepalive_s: int = 30
    keeps_retained: bool = True
    max_packet: int = MAX_PACKET


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker refused the connection. `no_retain`: it would accept it without a retained
    will."""

    why: str
    wrong_version: bool
    no_retain: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended.

    taken_over: another client connected with our client id.
    code: the reason code of MQTT 5 in the broker's DISCONNECT, or MALFORMED for an answer that is
        not MQTT; 0: none.
    too_long_on: the topic of a message for us that was too long to be read.
    """

    why: str
    taken_over: bool = False
    code: int = 0
    too_long_on: str | None = None


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


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker granted a subscription."""

    pattern: str


Event = Connected | Refused | Lost | PubAck | Received | SubscribeRefused | Subscribed


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


OnRequest = Callable[[str, Received], None]  # name of the request, its message
# version, will (topic and body), receiver of the events, whether messages may be retained
ConnectionFactory = Callable[
    [MqttVersion, tuple[str, bytes], Callable[[Event], None], bool], Connection
]


def await_connack(
    next_event: Callable[[float], object],
    tick: Callable[[], float],
    closing: Callable[[], bool],
    at: str,
) -> Connected:
    """Waits for the broker's acceptance. Raises NotAcceptedError; BrokerConnectionError when the
    daemon stops.

    next_event: waits for an event, at most the seconds that it gets; None: there was none.
    at: the broker's host and port, for sentences.
    """
    deadline = tick() + CONNACK_TIMEOUT_S
    while (left := deadline - tick()) > 0:
        event = next_event(min(left, _CLOSING_STEP_S))
        if isinstance(event, Connected):
            return event
        if isinstance(event, Refused):
            raise NotAcceptedError(
                event.why,
                wrong_version=event.wrong_version,
                refused=True,
                no_retain=event.no_retain,
            )
        if isinstance(event, Lost):
            raise NotAcceptedError(
                f"the broker at {at} hung up before it answered ({event.why}); check that "
                "mqtt.port is its MQTT port (a TLS port needs mqtt.tls), and see its log",
                wrong_version=True,
                hung_up=True,
            )
        if closing():
            raise BrokerConnectionError("stopping")
    raise NotAcceptedError(  # amqtt, for example, does not answer version 5
        f"{at} took the connection but did not answer in {CONNACK_TIMEOUT_S:g} s; check that "
        "mqtt.port is the broker's MQTT port (with mqtt.tls its TLS port)",
        wrong_version=True,
    )

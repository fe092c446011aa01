"""What a connection tells, and what a message is given along: the values that pass between a
`Connection` and whoever uses it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from edge.core.messages import MessageProperties

Protocol_ = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted us. `receive_maximum` is how much it takes unacknowledged,
    `keepalive_s` the longest silence it allows (0: any)."""

    receive_maximum: int
    keepalive_s: int = 30


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker has answered, and the answer is no."""

    why: str
    wrong_version: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone. `taken_over`: the broker says that another client has our id."""

    why: str
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class PubAck:
    """PUBACK for message `mid`; `code` is 0 or MQTT 5's reason, `why` its words."""

    mid: int
    code: int
    why: str


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where MQTT 5's request wants its answer, and what it wants back with it."""

    topic: str | None
    correlation: bytes | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message on a topic that was subscribed to."""

    topic: str
    body: bytes
    retained: bool
    reply_to: ReplyTo | None = None


@dataclass(frozen=True, slots=True)
class SubscribeRefused:
    """The broker does not let us subscribe to a pattern."""

    pattern: str
    why: str


Event = Connected | Refused | Lost | PubAck | Received | SubscribeRefused


class Connection(Protocol):
    """A connection. It exists so that the publisher can be tested against a broker that lies."""

    def open(self) -> None:
        """Starts connecting; the outcome comes as an event. Raises LinkError."""
        ...

    def publish(
        self, topic: str, body: bytes, *, retain: bool, about: MessageProperties | None = None
    ) -> int:
        """Has it sent with QoS 1, and returns the `mid` that its Answered will carry. Raises
        LinkError; OversizeError when the broker takes no message of this size."""
        ...

    def subscribe(self, pattern: str) -> None:
        """Asks for the messages on the topics of a pattern. Raises LinkError."""
        ...

    def alive(self) -> bool:
        """Whether somebody still looks after it. False: nothing will come of it any more."""
        ...

    def close(self) -> None:
        """Says goodbye, so that the broker sends no will. No event comes afterwards."""
        ...


OnRequest = Callable[[str, bytes, bool, ReplyTo | None], None]  # name, body, retained, answer to
LinkFactory = Callable[[Protocol_, tuple[str, bytes], Callable[[Event], None]], Connection]

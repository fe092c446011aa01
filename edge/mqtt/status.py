"""Our own `status` topic: the will, `online`, `stopped`, and what others say there about us."""

import logging
import math
from collections.abc import Callable

from edge.config import Config
from edge.core.clock import Clock
from edge.core.messages import MessageProperties, status_body
from edge.mqtt.duplicate_client import DuplicateClientDetector
from edge.mqtt.events import (
    Connection,
    Lost,
    PubAck,
    Received,
    Refused,
    SubscribeRefused,
)

log = logging.getLogger(__name__)

_SAY_ONLINE_S = 1.0  # at most so often against a late will


class BirthAndWill:
    """`hear` is for the link's thread, the rest for the publisher's."""

    def __init__(self, config: Config, session: str, environment: Clock) -> None:
        self.topic = f"{config.topic}/status"
        self._session, self._environment = session, environment
        self._boot_id = environment.boot_id()
        self._namesake = DuplicateClientDetector(
            session, config.station, config.client_id, environment.tick
        )
        self._deaf: dict[str, str] = {}  # by pattern
        self._mute = ""
        self._due = False
        self._said = 0.0

    def faults(self) -> list[str]:
        """Who else uses our name, and what we cannot hear."""
        texts = (self._namesake.fault, self._mute, *self._deaf.values())
        return [text for text in texts if text]

    def announced(self, event: PubAck) -> None:
        """The broker's answer to something that is no verdict."""
        if event.code < 0x80:
            self._mute = ""
            return
        sentence = (
            f"the broker does not let us publish below {self.topic.rpartition('/')[0]}/ "
            f"({event.why}): allow it in the broker's ACL"
        )
        if sentence != self._mute:
            log.error("delivery: %s", sentence)
        self._mute = sentence

    def deaf(self, event: SubscribeRefused) -> None:
        """The broker does not let us subscribe."""
        sentence = (
            f"the broker does not let us subscribe to {event.pattern} ({event.why}); allow this "
            "user to read it"
        )
        log.error("delivery: %s", sentence)
        self._deaf[event.pattern] = sentence

    def will(self) -> tuple[str, bytes]:
        """Topic and body of what the broker says when the connection is lost."""
        return self.topic, self._body("offline", "the connection was lost")

    def hear(self, event: Received, wake: Callable[[], None]) -> None:
        """Somebody, perhaps the broker with a late will, has spoken on our topic."""
        if self._namesake.heard(event.body, retained=event.retained) and not self._due:
            self._due = True
            wake()

    def lost(self, event: Lost | Refused, lived_s: float) -> None:
        """A connection that had been accepted has ended."""
        self._deaf.clear()
        if self._mute:
            return  # mosquitto 2.0.11 ends the connection over it: nobody has taken our name
        self._namesake.lost(event if isinstance(event, Lost) else Lost(event.why), lived_s)

    def due(self, now: float) -> bool:
        """Whether `online` has to be said again."""
        return self.due_in_s(now) <= 0

    def due_in_s(self, now: float) -> float:
        """Seconds until `online` has to be said again; endless when it has not."""
        return max(0.0, self._said + _SAY_ONLINE_S - now) if self._due else math.inf

    def online(self, link: Connection, now: float) -> int:
        """Says it; the `mid` of the message. Raises LinkError."""
        self._due, self._said = False, now
        return self._publish(link, "online", "connected")

    def stopped(self, link: Connection, reason: str) -> int:
        """Says it; the `mid` of the message. Raises LinkError."""
        return self._publish(link, "stopped", reason)

    def _publish(self, link: Connection, state: str, reason: str) -> int:
        return link.publish(
            self.topic, self._body(state, reason), retain=True, about=MessageProperties()
        )

    def _body(self, state: str, reason: str) -> bytes:
        now = self._environment.now()
        return status_body(state, self._session, self._boot_id, now, reason)

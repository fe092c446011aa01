"""Our own `status` topic: the will, `online`, `stopped`, and the detection of another client there.

Two boxes with one client id disconnect each other for ever; two boxes with one station overwrite
each other's status.
"""

import logging
import math
from collections.abc import Callable

from edge.config import Config
from edge.core.clock import Clock
from edge.core.messages import MessageProperties, status_body
from edge.core.text import fault_in, parse_json
from edge.mqtt.events import Connection, Lost, PubAck, Received, Refused

log = logging.getLogger(__name__)

_ONLINE_GAP_S = 1.0  # shortest time between two `online` that answer a late will
_MAX_BYTES = 4096
_SHORT_S = 10.0  # the network hardly ends a connection that early
_SHORT_CONNECTIONS = 3
_FORGET_S = 600.0
_NOT_AUTHORIZED = 0x87


class BirthAndWill:
    """`status_received` is for the connection's thread, the rest for the publisher's."""

    def __init__(self, config: Config, session: str, clock: Clock) -> None:
        self.topic = f"{config.topic}/status"
        self._session, self._clock = session, clock
        self._boot_id = clock.boot_id()
        self._duplicates = DuplicateClientDetector(
            session, config.station, config.client_id, clock.tick
        )
        self._publish_fault = ""
        self._due = False
        self._sent_at = 0.0

    def faults(self) -> list[str]:
        """Another client with our identity, and refused messages."""
        return [text for text in (self._duplicates.fault, self._publish_fault) if text]

    def acknowledged(self, event: PubAck) -> None:
        """The PUBACK of a message that is not a verdict."""
        if event.code < 0x80:
            self._publish_fault = ""
            return
        below = f"{self.topic.rpartition('/')[0]}/"
        sentence = f"the broker refuses messages below {below} ({event.why}); see its log"
        if event.code == _NOT_AUTHORIZED:
            sentence = (
                f"the broker does not let us publish below {below} ({event.why}): allow it in the "
                "broker's ACL"
            )
        if sentence != self._publish_fault:
            log.error("delivery: %s", sentence)
        self._publish_fault = sentence

    def will(self) -> tuple[str, bytes]:
        """Topic and body that the broker publishes when the connection is lost."""
        return self.topic, self._body("offline", "the connection was lost")

    def status_received(self, event: Received, wake: Callable[[], None]) -> None:
        """A message on our `status` topic; it may be a late will from the broker."""
        retained = event.retained
        if self._duplicates.status_received(event.body, retained=retained) and not self._due:
            self._due = True
            wake()

    def connection_ended(self, event: Lost | Refused, lasted_s: float) -> None:
        """An accepted connection ended after `lasted_s` seconds."""
        if self._publish_fault:
            return  # mosquitto 2.0.11 disconnects for a forbidden topic; no other client did it
        lost = event if isinstance(event, Lost) else Lost(event.why)
        self._duplicates.connection_ended(lost, lasted_s)

    def due_in_s(self, now: float) -> float:
        """Seconds until `online` is due again; infinite when it is not."""
        return max(0.0, self._sent_at + _ONLINE_GAP_S - now) if self._due else math.inf

    def online(self, connection: Connection, now: float) -> int:
        """Publishes `online`; returns its `mid`. Raises BrokerConnectionError."""
        self._due, self._sent_at = False, now
        return self._publish(connection, "online", "connected")

    def stopped(self, connection: Connection, reason: str) -> int:
        """Publishes `stopped`; returns its `mid`. Raises BrokerConnectionError."""
        return self._publish(connection, "stopped", reason)

    def _publish(self, connection: Connection, state: str, reason: str) -> int:
        return connection.publish(
            self.topic, self._body(state, reason), retain=True, about=MessageProperties()
        )

    def _body(self, state: str, reason: str) -> bytes:
        return status_body(state, self._session, self._boot_id, self._clock.now(), reason)


class DuplicateClientDetector:
    """Reads the messages on our own `status` topic and the ends of our connections."""

    def __init__(
        self, session: str, station: str, client_id: str, tick: Callable[[], float]
    ) -> None:
        self._session, self._station, self._client_id = session, station, client_id
        self._tick = tick
        self._fault, self._found_at = "", 0.0
        self._short = 0

    @property
    def fault(self) -> str:
        """The sentence for `health`; empty after ten minutes without a sign."""
        return self._fault if self._fault and self._tick() - self._found_at < _FORGET_S else ""

    def status_received(self, body: bytes, *, retained: bool) -> bool:
        """A message on our `status` topic. True when it does not say that we are online, so that
        `online` is due again: a late will of any session marks a living box as dead."""
        if len(body) > _MAX_BYTES:
            return False
        try:
            status = parse_json(body)
            state, session = status["state"], status["session"]
        except (ValueError, TypeError, KeyError):
            return True
        if not isinstance(session, str) or fault_in(session) is not None:
            return True  # no box of ours sends this
        if state in ("offline", "stopped"):
            return True
        if state == "online" and session != self._session and not retained:
            self._report(
                f"another box uses the station {self._station!r} (session {session!s:.32}); "
                "give each box its own station"
            )
        return False

    def connection_ended(self, event: Lost, lasted_s: float) -> None:
        """An accepted connection ended after `lasted_s` seconds."""
        self._short = self._short + 1 if lasted_s < _SHORT_S else 0
        if event.taken_over:
            self._report(
                f"another client uses our client id {self._client_id!r} (station "
                f"{self._station!r}); give each box its own station or mqtt.client_id"
            )
        elif self._short >= _SHORT_CONNECTIONS:
            self._report(
                f"the broker has ended {self._short} connections within seconds: perhaps another "
                f"client uses our client id {self._client_id!r} (station {self._station!r}); give "
                "each box its own station or mqtt.client_id, and see the broker's log"
            )

    def _report(self, sentence: str) -> None:
        if sentence != self.fault:
            log.error("delivery: %s", sentence)
        self._fault, self._found_at = sentence, self._tick()

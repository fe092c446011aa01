"""Our subscriptions: each is asked for until the broker grants it. For the publisher's thread."""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass

from paho.mqtt.client import topic_matches_sub

from edge.mqtt.events import Connection, SubscribeRefused

log = logging.getLogger(__name__)

_ANSWER_S = 30.0  # for SUBACK
_PAUSES_S = (5.0, 300.0)  # after a refusal: the first and the longest
_BROKEN_PAUSES_S = (60.0, 600.0)  # after the end of a connection over it


@dataclass(slots=True)
class _Subscription:
    """due: when SUBSCRIBE is sent. pause_s: the last pause. fault: empty when it is granted."""

    due: float = 0.0
    pause_s: float = 0.0
    waits: bool = False
    broken: bool = False
    fault: str = ""


class Subscriptions:
    """`faults` may be read by other threads."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._all = {pattern: _Subscription() for pattern in patterns}

    def faults(self) -> list[str]:
        """A sentence for each subscription that the broker does not grant."""
        return [one.fault for one in self._all.values() if one.fault]

    def connected(self) -> None:
        """A new connection has no subscription. One that broke a connection keeps its pause."""
        for one in self._all.values():
            one.waits = False
            if not one.broken:
                one.pause_s = 0.0
            if not one.broken or math.isinf(one.due):
                one.due = 0.0

    def due_in_s(self, now: float) -> float:
        """Seconds until `send` has something to do; infinite without."""
        return max(0.0, min((one.due for one in self._all.values()), default=math.inf) - now)

    def send(self, connection: Connection, now: float, most: int) -> None:
        """Asks for at most `most` subscriptions that are due. Raises BrokerConnectionError."""
        due = [(pattern, one) for pattern, one in self._all.items() if one.due <= now]
        for pattern, one in due[:most]:
            if one.waits:
                one.fault = f"the broker does not answer our SUBSCRIBE to {pattern}; see its log"
            one.waits, one.due = True, now + _ANSWER_S
            connection.subscribe(pattern)

    @property
    def waiting(self) -> str | None:
        """A pattern whose SUBACK is missing."""
        return next((pattern for pattern, one in self._all.items() if one.waits), None)

    def granted(self, pattern: str) -> None:
        """SUBACK without a failure."""
        if pattern in self._all:
            if self._all[pattern].fault:
                log.info("delivery: the broker grants the subscription to %s", pattern)
            # what broke the connection before may come again: its pause is kept until `stable`
            broken, pause_s = self._all[pattern].broken, self._all[pattern].pause_s
            self._all[pattern] = _Subscription(math.inf, pause_s, broken=broken)

    def stable(self) -> None:
        """The connection is stable, so no granted subscription breaks it."""
        for one in self._all.values():
            one.broken = one.broken and not math.isinf(one.due)

    def refused(self, event: SubscribeRefused, now: float) -> None:
        """SUBACK with a failure."""
        sentence = (
            f"the broker does not let us subscribe to {event.pattern} ({event.why}); allow this "
            "user to read it"
        )
        self._postpone(event.pattern, sentence, now, _PAUSES_S, broken=False)

    def broke(self, pattern: str, now: float) -> None:
        """The broker ended the connection over this SUBSCRIBE."""
        sentence = (
            f"the broker ends the connection when we subscribe to {pattern}; allow this user to "
            "read it"
        )
        self._postpone(pattern, sentence, now, _BROKEN_PAUSES_S, broken=True)

    def too_long(self, topic: str, why: str, now: float) -> None:
        """A message on `topic` ended the connection, because it is too long to be read."""
        sentence = (
            f"{why}; if it is retained, remove it (mosquitto_pub -r -n -t '{topic}'), and allow "
            "only the line's own clients to publish there"
        )
        for pattern in self._all:
            if not topic or topic_matches_sub(pattern, topic):
                self._postpone(pattern, sentence, now, _BROKEN_PAUSES_S, broken=True)

    def _postpone(
        self, pattern: str, sentence: str, now: float, pauses: tuple[float, float], *, broken: bool
    ) -> None:
        one = self._all.get(pattern)
        if one is None:
            return
        one.pause_s = min(pauses[1], max(pauses[0], 2 * one.pause_s))
        if sentence != one.fault:
            log.error("delivery: %s; tried again in %.0f s", sentence, one.pause_s)
        one.due, one.waits, one.broken, one.fault = now + one.pause_s, False, broken, sentence

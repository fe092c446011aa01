"""Finds the message over which a broker ends the connection.

MQTT 3.1.1 has no reason codes: a broker that does not take a message, because of its size or its
topic, only hangs up. Sent again first thing after each connect, such a message would block the
verdicts. So after two connections that ended early the next one is careful: verdicts go first, and
one message at a time, so that the last one is known. The network may end one such connection over
any verdict, so a verdict is blamed after two.
"""

import logging
from dataclasses import dataclass

log = logging.getLogger(__name__)

WHOLE, SHORTENED, LEFT_OUT = 0, 1, 2  # the forms of a message
VERDICTS_FIRST_S = 3.0  # a careful connection sends only verdicts for this time
_EARLY_S = 10.0  # the network hardly ends a connection that early
_EARLY_ENDS = 2
_PAUSES_S = (60.0, 600.0)  # until the whole message is tried again: the first and the longest
_FORMS = {SHORTENED: "shortened", LEFT_OUT: "left out"}


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that waits for its PUBACK.

    seq: of its row; 0: it is not a verdict.
    size: bytes of its body. form: WHOLE or SHORTENED.
    """

    at: float
    topic: str
    size: int
    seq: int = 0
    form: int = WHOLE


@dataclass(slots=True)
class _Held:
    form: int
    until: float
    pause_s: float
    fault: str


class BreakingMessages:
    """For one broker and the publisher's thread; other threads may read `faults`."""

    def __init__(self) -> None:
        self._early = 0
        self._held: dict[str, _Held] = {}  # by topic
        self._suspect = 0  # the verdict over which the last careful connection ended
        self.checks_suspect = False  # the next connection shows whether the verdict is the cause
        self.careful = False

    def faults(self) -> list[str]:
        """A sentence for each message that the broker does not take."""
        return [held.fault for held in list(self._held.values())]

    def connected(self) -> None:
        """A new connection."""
        self.careful = self._early >= _EARLY_ENDS

    def stable(self) -> None:
        """The connection has lasted."""
        self._early, self.careful, self._suspect = 0, False, 0

    def form(self, topic: str, now: float) -> int:
        """In which form a message is sent now: WHOLE, SHORTENED or LEFT_OUT."""
        held = self._held.get(topic)
        return WHOLE if held is None or now >= held.until else held.form

    def taken(self, message: SentMessage) -> None:
        """Its PUBACK came."""
        if message.form == WHOLE and self._held.pop(message.topic, None) is not None:
            log.info("delivery: the broker takes %s again", message.topic)

    def connection_ended(
        self, in_flight: list[SentMessage], lasted_s: float, *, proven: bool = False
    ) -> SentMessage | None:
        """The message over which the connection ended; None: it is not known.

        proven: the broker gave a reason code, so the network is not the cause.
        """
        self.checks_suspect = False
        if lasted_s < _EARLY_S:
            self._early += 1
        elif not self.careful:
            self._early = 0
        for message in in_flight:
            if message.topic in self._held and not message.seq:
                return message  # it was sent again on trial
        if not self.careful or len(in_flight) != 1:
            return None
        (message,) = in_flight
        before, self._suspect = self._suspect, message.seq
        if proven or not message.seq or message.seq == before:
            return message
        self.checks_suspect = before == 0
        return None

    def hold(self, message: SentMessage, now: float, *, shortens: bool, why: str = "") -> None:
        """Does not send a message in its form for a time.

        shortens: there is a shortened form of it.
        why: the broker's limit, when it is known; else the broker ended the connection.
        """
        held = self._held.get(message.topic)
        form = message.form + 1 if shortens else LEFT_OUT
        if held is not None and message.form == WHOLE:
            form = held.form  # the trial failed
        pause_s = min(_PAUSES_S[1], max(_PAUSES_S[0], 2 * held.pause_s if held else 0.0))
        why = why or (
            f"the broker ends the connection after a message of {message.size} bytes: raise its "
            "limit (mosquitto: max_packet_size), or allow the topic in its ACL"
        )
        sentence = f"{message.topic} is {_FORMS[form]}: {why}"
        if held is None or held.form != form:
            log.error("delivery: %s; verdicts go on", sentence)
        self._held[message.topic] = _Held(form, now + pause_s, pause_s, sentence)

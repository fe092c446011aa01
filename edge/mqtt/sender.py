"""Sends messages while the in-flight window has room: retained topics and replies first, then live
rows, then the backlog."""

import logging
import math
from collections.abc import Callable

from edge.core.messages import result_properties, sent_body
from edge.mqtt.breaking_messages import (
    LEFT_OUT,
    SHORTENED,
    VERDICTS_FIRST_S,
    BreakingMessages,
    SentMessage,
)
from edge.mqtt.diagnostics import OversizeError
from edge.mqtt.events import Connection
from edge.mqtt.retained import OutgoingMessage, RetainedTopics, shortened
from edge.mqtt.send_scheduler import SendScheduler
from edge.storage import OutboxRow, SendQueue

log = logging.getLogger(__name__)


class InFlightWindow:
    """Messages by `mid`. `size`: how many may wait; `ack_timeout_s`: how long one may wait."""

    def __init__(self) -> None:
        self.size, self.ack_timeout_s = 1, 0.0
        self._sent: dict[int, SentMessage] = {}  # by mid

    def begin(self, size: int, ack_timeout_s: float) -> None:
        """Empties the window for a new connection."""
        self.size, self.ack_timeout_s = size, ack_timeout_s
        self._sent.clear()

    def add(self, mid: int, message: SentMessage) -> None:
        """A message was sent."""
        self._sent[mid] = message

    def acknowledge(self, mid: int) -> SentMessage | None:
        """Removes a message; None: it is unknown."""
        return self._sent.pop(mid, None)

    def in_flight(self) -> list[SentMessage]:
        """The messages, the oldest first."""
        return list(self._sent.values())

    @property
    def room(self) -> int:
        """How many more messages may be sent."""
        return max(0, self.size - len(self._sent))

    @property
    def room_for_others(self) -> int:
        """How many messages that are not rows may be sent. They take at most a quarter of the
        window, so that a flood of requests does not delay verdicts."""
        others = sum(not message.seq for message in self._sent.values())
        return min(self.room, max(1, self.size // 4) - others)

    @property
    def empty(self) -> bool:
        """Whether no message waits for its PUBACK."""
        return not self._sent

    def overdue_in_s(self, now: float) -> float:
        """Seconds until the oldest message is overdue, below 0 when it is; infinite when none
        waits."""
        oldest = next(iter(self._sent.values()), None)
        return math.inf if oldest is None else oldest.at + self.ack_timeout_s - now


class Sender:
    """For the publisher's thread."""

    def __init__(
        self,
        retained: RetainedTopics,
        scheduler: SendScheduler,
        window: InFlightWindow,
        rows: SendQueue,
        *,
        topic: str,
        max_age_s: float,
        may_send: Callable[[], bool],
    ) -> None:
        """
        topic: the topic of results.
        max_age_s: the outbox drops older rows, so the broker may too (message expiry).
        may_send: asked before rows are sent; False leaves them in the outbox.
        """
        self._retained, self._scheduler, self._window = retained, scheduler, window
        self._rows, self._topic, self._max_age_s = rows, topic, max_age_s
        self._may_send = may_send
        self._breaking, self._began_at = BreakingMessages(), 0.0
        self._rows_turn = False

    def begin(self, breaking: BreakingMessages, now: float) -> None:
        """A new connection. `breaking`: the messages that its broker does not take."""
        self._breaking, self._began_at = breaking, now

    def fill(self, connection: Connection, now: float) -> None:
        """Publishes until the window is full; `now` is monotonic seconds. Raises
        BrokerConnectionError, OutboxError."""
        # a careful connection has room for one message: verdicts and others take turns
        self._rows_turn = self._breaking.careful and not self._rows_turn
        if self._rows_turn:
            self._send_rows(connection, now)
        if not self.verdicts_only(now):
            self._send_others(connection, now)
        self._send_rows(connection, now)

    def _send_rows(self, connection: Connection, now: float) -> None:
        if self._window.room and self._may_send():
            for row, replayed in self._scheduler.next(self._window.room):
                self._send(connection, row, now, replayed=replayed)

    def verdicts_only(self, now: float) -> bool:
        """Whether a careful connection is so new that it sends nothing but verdicts."""
        return self._breaking.careful and now < self._began_at + VERDICTS_FIRST_S

    def _send_others(self, connection: Connection, now: float) -> None:
        """Retained topics and replies."""

        def is_left_out(topic: str) -> bool:
            return self._breaking.form(topic, now) == LEFT_OUT

        while self._window.room_for_others > 0 and (message := self._retained.next(is_left_out)):
            form = self._breaking.form(message.topic, now)
            while not self._send_other(connection, message, now, form):
                form = self._breaking.form(message.topic, now)

    def _send_other(
        self, connection: Connection, message: OutgoingMessage, now: float, form: int
    ) -> bool:
        """False: it is too large in this form, and there may be a shorter one."""
        short = shortened(message)
        sent = short if form == SHORTENED else message
        if form == LEFT_OUT or sent is None:
            return True
        record = SentMessage(now, sent.topic, len(sent.body), form=form)
        try:
            mid = connection.publish(sent.topic, sent.body, retain=sent.retain, about=sent.about)
        except OversizeError as error:
            self._breaking.hold(record, now, shortens=short is not None, why=str(error))
            return False
        self._window.add(mid, record)
        return True

    def wait_s(self, now: float, longest: float) -> float:
        """Seconds until a row is due or a PUBACK overdue, at most `longest`."""
        longest = max(0.0, min(longest, self._window.overdue_in_s(now)))
        return self._scheduler.wait_s(longest) if self._may_send() else longest

    @property
    def done(self) -> bool:
        """Whether every message is acknowledged, and no row waits that may be sent."""
        if not self._window.empty or self._retained.replies_wait():
            return False
        return not self._may_send() or self._scheduler.empty()

    def _send(self, connection: Connection, row: OutboxRow, now: float, *, replayed: bool) -> None:
        body = sent_body(row.body, replayed=replayed)
        about = result_properties(body, self._max_age_s - self._rows.age_s(row))
        try:
            mid = connection.publish(self._topic, body, retain=False, about=about)
        except OversizeError as error:
            self._scheduler.park(row.seq, "too_large", str(error))
        else:
            self._window.add(mid, SentMessage(now, self._topic, len(body), row.seq))

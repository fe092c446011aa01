"""Sends messages while the in-flight window has room: retained topics and replies first, then live
rows, then the backlog."""

import logging
from collections.abc import Callable

from edge.core.messages import about_result, sent_body
from edge.mqtt.diagnostics import OversizeError
from edge.mqtt.events import Connection
from edge.mqtt.inflight_window import InFlightWindow
from edge.mqtt.retained import RetainedTopics
from edge.mqtt.send_scheduler import SendScheduler
from edge.storage.outbox.records import OutboxRow
from edge.storage.outbox.send_queue import SendQueue

log = logging.getLogger(__name__)


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

    def fill(self, connection: Connection, now: float) -> None:
        """Publishes until the window is full; `now` is monotonic seconds. Raises
        BrokerConnectionError, OutboxError."""
        while self._window.room_for_others > 0 and (message := self._retained.next()):
            try:
                mid = connection.publish(
                    message.topic, message.body, retain=message.retain, about=message.about
                )
            except OversizeError as error:
                log.error("delivery: %s cannot be published: %s", message.topic, error)
            else:
                self._window.add(mid, now)
        if self._window.room and self._may_send():
            for row, replayed in self._scheduler.next(self._window.room):
                self._send(connection, row, now, replayed=replayed)

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
        about = about_result(body, self._max_age_s - self._rows.age_s(row))
        try:
            mid = connection.publish(self._topic, body, retain=False, about=about)
        except OversizeError as error:
            self._scheduler.park(row.seq, "too_large", str(error))
        else:
            self._window.add(mid, now, row.seq)

"""Hands messages to a connection while the in-flight window has room: announcements, then live
rows, then the backlog."""

import logging
from collections.abc import Callable

from edge.core.messages import about_result, sent_body
from edge.mqtt.diagnostics import OversizeError
from edge.mqtt.events import Connection
from edge.mqtt.inflight_window import InFlightWindow
from edge.mqtt.retained import RetainedTopics
from edge.mqtt.send_scheduler import RowSource, SendScheduler
from edge.storage import OutboxRow

log = logging.getLogger(__name__)


class Sender:
    """For the publisher's thread."""

    def __init__(
        self,
        announcements: RetainedTopics,
        lanes: SendScheduler,
        flight: InFlightWindow,
        view: RowSource,
        *,
        topic: str,
        max_age_s: float,
        may_send: Callable[[], bool],
    ) -> None:
        """- `topic` is that of results.
        - `max_age_s`: the outbox drops older rows; the broker may do so too (message expiry).
        - `may_send` is asked before rows are handed over; False leaves them in the outbox.
        """
        self._announcements, self._lanes, self._flight = announcements, lanes, flight
        self._view, self._topic, self._max_age_s = view, topic, max_age_s
        self._may_send = may_send

    def fill(self, link: Connection, now: float) -> None:
        """Publishes what the window has room for; `now` is monotonic seconds. Raises LinkError,
        OutboxError."""
        while self._flight.room_for_others > 0 and (message := self._announcements.next()):
            try:
                mid = link.publish(
                    message.topic, message.body, retain=message.retain, about=message.about
                )
            except OversizeError as error:
                log.error("delivery: %s cannot be published: %s", message.topic, error)
            else:
                self._flight.add(mid, now)
        if self._flight.room and self._may_send():
            for row, replayed in self._lanes.next(self._flight.room):
                self._send(link, row, replayed, now)

    def wait_s(self, now: float, longest: float) -> float:
        """Seconds until a row is due or an answer overdue, at most `longest`."""
        longest = max(0.0, min(longest, self._flight.overdue_in_s(now)))
        return self._lanes.wait_s(longest) if self._may_send() else longest

    @property
    def done(self) -> bool:
        """Whether every message has its answer, and none waits that may be sent."""
        if not self._flight.empty or self._announcements.replies_wait():
            return False
        return not self._may_send() or self._lanes.empty()

    def _send(self, link: Connection, row: OutboxRow, replayed: bool, now: float) -> None:
        body = sent_body(row.body, replayed=replayed)
        about = about_result(body, self._max_age_s - self._view.age_s(row))
        try:
            mid = link.publish(self._topic, body, retain=False, about=about)
        except OversizeError as error:
            self._lanes.park(row.seq, "too_large", str(error))
        else:
            self._flight.add(mid, now, row.seq)

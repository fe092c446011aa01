"""Rows onto a connection, by one of two threads: the publisher's, or at once by who has just stored
them. Each thread that is woken from sleep costs a verdict a tenth of a millisecond and more."""

import logging
import threading
from collections.abc import Callable

from edge.delivery.events import Link
from edge.delivery.flight import Flight
from edge.delivery.inbox import BEAT_S
from edge.delivery.lanes import Lanes, Waiting
from edge.delivery.link import OversizeError
from edge.delivery.message import about_result, sent_body
from edge.delivery.row import Row
from edge.delivery.troubles import LinkError

log = logging.getLogger(__name__)


class Sending:
    """`turn` is held by whichever thread touches the lanes, the flight or the connection."""

    def __init__(
        self,
        lanes: Lanes,
        flight: Flight,
        view: Waiting,
        tick: Callable[[], float],
        *,
        topic: str,
        max_age_s: float,
        may_send: Callable[[], bool],
    ) -> None:
        """`topic` is that of results. Rows are dropped when they are `max_age_s` seconds old, which
        the broker is told. `may_send`: asked before rows are handed over; False leaves them."""
        self.turn = threading.Lock()
        self.fault = ""  # the connection is not worth keeping
        self._lanes, self._flight, self._view, self._tick = lanes, flight, view, tick
        self._topic, self._max_age_s, self._may_send = topic, max_age_s, may_send
        self._link: Link | None = None

    def begin(self, link: Link) -> None:
        """Others may send on this connection from now on."""
        with self.turn:
            self.fault, self._link = "", link

    def end(self) -> None:
        """They may not any more; when this returns, nobody does."""
        with self.turn:
            self._link = None

    def at_once(self) -> bool:
        """Sends what was just stored, on the caller's thread, which never waits here: not for a
        socket, a disk or the publisher. False: that is left to the publisher."""
        if not self.turn.acquire(blocking=False):
            return False
        try:
            link = self._link
            # an answer that may be overdue before the publisher next looks is for the publisher
            if link is None or self._flight.bound_s < BEAT_S or not self._may_send():
                return False
            now = self._tick()
            for row in self._lanes.fresh(self._flight.room):
                self._send(link, row, False, now)
        except LinkError as error:
            self.fault = str(error)
            return False
        except Exception as error:  # whose thread this is has other things to do than to end of it
            log.exception("delivery: unexpected fault")
            self.fault = f"internal fault ({error!r})"
            return False
        else:
            return self._lanes.caught_up
        finally:
            self.turn.release()

    def some(self, link: Link, now: float) -> None:
        """As many as there is room for, live ones first; `turn` is held.
        Raises LinkError, OutboxError."""
        if self._flight.room and self._may_send():
            for row, replayed in self._lanes.next(self._flight.room):
                self._send(link, row, replayed, now)

    def _send(self, link: Link, row: Row, replayed: bool, now: float) -> None:
        body = sent_body(row.body, replayed=replayed)
        about = about_result(body, self._max_age_s - self._view.age_s(row))
        try:
            mid = link.publish(self._topic, body, retain=False, about=about)
        except OversizeError as error:
            self._lanes.park(row.seq, "too_large", str(error))
        else:
            self._flight.add(mid, now, row.seq)

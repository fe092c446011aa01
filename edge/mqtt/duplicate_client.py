"""Detects another client with our identity. Two boxes with one client id disconnect each other for
ever; two boxes with one station overwrite each other's status."""

import json
import logging
from collections.abc import Callable

from edge.mqtt.events import Lost

log = logging.getLogger(__name__)

_MAX_BYTES = 4096
_SHORT_S = 10.0  # the network hardly ends a connection that early
_SHORT_CONNECTIONS = 3
_FORGET_S = 600.0


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
            status = json.loads(body)
            state, session = status["state"], status["session"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return True
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

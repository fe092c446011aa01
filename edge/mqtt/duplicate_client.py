"""Is somebody else using our name? Two boxes with one client id throw each other out for ever; two
with one station write over each other's status. Both are named, with the mend."""

import json
import logging
from collections.abc import Callable

from edge.mqtt.events import Lost

log = logging.getLogger(__name__)

_MAX_BYTES = 4096
_SHORT_S = 10.0  # a connection that lasts less was hardly lost by the network
_TIMES = 3
_FORGET_S = 600.0


class DuplicateClientDetector:
    """Fed with what comes on our own `status` topic and with how connections end."""

    def __init__(
        self, session: str, station: str, client_id: str, tick: Callable[[], float]
    ) -> None:
        self._session, self._station, self._client_id = session, station, client_id
        self._tick = tick
        self._fault, self._at = "", 0.0
        self._short = 0

    @property
    def fault(self) -> str:
        """The sentence for `health`; empty when there was no sign of another for ten minutes."""
        return self._fault if self._fault and self._tick() - self._at < _FORGET_S else ""

    def heard(self, body: bytes, *, retained: bool) -> bool:
        """What came on our `status`. True when it says that we are gone, so that `online` has to
        be said again: a late will, of this session or another, marks a living box as dead."""
        if len(body) > _MAX_BYTES:
            return False
        try:
            said = json.loads(body)
            state, session = said["state"], said["session"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return True  # it is our topic, and it has to say the truth
        if state in ("offline", "stopped"):
            return True
        if state == "online" and session != self._session and not retained:
            self._say(
                f"another box speaks as station {self._station!r} (session {session!s:.32}); "
                "give each box its own station"
            )
        return False

    def lost(self, event: Lost, lived_s: float) -> None:
        """A connection ended that had been accepted `lived_s` seconds ago."""
        self._short = self._short + 1 if lived_s < _SHORT_S else 0
        if event.taken_over:
            self._say(
                f"another client uses our client id {self._client_id!r} (station "
                f"{self._station!r}); give each box its own station or mqtt.client_id"
            )
        elif self._short >= _TIMES:
            self._say(
                f"the broker has ended {self._short} connections within seconds: perhaps another "
                f"client uses our client id {self._client_id!r} (station {self._station!r}); give "
                "each box its own station or mqtt.client_id, and see the broker's log"
            )

    def _say(self, sentence: str) -> None:
        if sentence != self.fault:
            log.error("delivery: %s", sentence)
        self._fault, self._at = sentence, self._tick()

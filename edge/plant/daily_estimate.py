"""The estimate of the last 30 days, made once a day for `health`.

A thread of its own makes it and ends, because the history may be slow to read.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError
from edge.core.messages import rfc3339
from edge.core.threads import NamedThread
from edge.plant.line_estimate import LineEstimate

log = logging.getLogger(__name__)

SPAN_S = 30 * 86_400.0
_FIRST_S = 300.0  # after the start, which has better things to do
_EVERY_S = 86_400.0
_AGAIN_S = 3600.0  # after a failure
_SHOWN = ("escape_rate", "false_reject_rate", "passes", "looks")


class DailyEstimate:
    """The supervisor calls `look` once a second; `latest` is for `health`."""

    def __init__(self, estimate: Callable[[float], LineEstimate], clock: Clock) -> None:
        """`estimate`: of the time from these seconds since the epoch until now."""
        self.latest: dict[str, Any] | None = None
        self._estimate, self._clock = estimate, clock
        self._due = clock.tick() + _FIRST_S
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Starts the thread when a day has passed. Never waits."""
        if self._clock.tick() < self._due or (self._thread and self._thread.is_alive()):
            return
        self._due = self._clock.tick() + _EVERY_S
        self._thread = NamedThread("estimate", self.run_once, vital=False, again=False)
        self._thread.start()

    def run_once(self) -> None:
        """Makes the estimate."""
        now = self._clock.now()
        try:
            found = self._estimate(now - SPAN_S)
        except EdgeInspectError as error:
            log.warning("estimate: %s", error)
            self._due = self._clock.tick() + _AGAIN_S
            return
        self.latest = {
            "at": rfc3339(now),
            "since": rfc3339(now - SPAN_S),
            **_shown(found.whole.as_json()),
            "models": {model: _shown(one.as_json()) for model, one in found.models.items()},
        }


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in _SHOWN}

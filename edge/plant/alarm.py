"""The alarm: a run of bad parts that should stop the line."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from edge.config import AlarmConfig
from edge.core.clock import Clock
from edge.core.messages import rfc3339, to_json
from edge.core.verdict import Verdict

log = logging.getLogger(__name__)

ALARM_SCHEMA = "edge-inspect/alarm/1"


class Alarm:
    """Counts runs of `fail` and of `error` for each camera and region.

    `pass` and `review` end both runs. `error` does not end a run of fails: it says nothing about
    the part.
    """

    def __init__(
        self,
        config: AlarmConfig,
        session: str,
        announce: Callable[[bytes], None],
        clock: Clock,
        on_change: Callable[[bool], None],
    ) -> None:
        """Announces its state, so that no alarm of an earlier run stays on the broker.

        announce   publishes the body of the retained topic `alarm`
        on_change  gets whether the alarm is raised
        """
        self._on_change = on_change
        self._config, self._session = config, session
        self._announce, self._clock = announce, clock
        self._lock = threading.Lock()
        self._fails: Counter[tuple[str, str | None]] = Counter()
        self._errors: Counter[tuple[str, str | None]] = Counter()
        self._since: float | None = None
        self._publish()

    @property
    def raised(self) -> bool:
        """Whether it is raised now."""
        return self._since is not None

    def announce(self) -> None:
        """Publishes its state again."""
        with self._lock:
            self._publish()

    def count(self, verdict: Verdict) -> None:
        """Counts one more verdict."""
        key = verdict.camera, verdict.region
        with self._lock:
            if verdict.verdict == "error":
                self._errors[key] += 1
            else:
                del self._errors[key]
                if verdict.verdict == "fail":
                    self._fails[key] += 1
                else:
                    del self._fails[key]
            causes = self._causes()
            was, now = self.raised, bool(causes)
            if now and not was:
                self._since = self._clock.now()
                log.error("alarm: %s", "; ".join(c["reason"] for c in causes))
            elif was and not now:
                self._since = None
                log.warning("alarm: cleared")
            if was != now:  # before the broker: an announcement that fails must not hide it
                self._on_change(now)
            if now or was:
                self._publish()

    def _causes(self) -> list[dict[str, Any]]:
        causes = []
        for outcome, limit, runs in (
            ("fail", self._config.fails, self._fails),
            ("error", self._config.errors, self._errors),
        ):
            for (camera, region), count in runs.items():
                if limit is not None and count >= limit:
                    place = camera if region is None else f"{camera}, region {region}"
                    causes.append(
                        {
                            "camera": camera,
                            "region": region,
                            "verdict": outcome,
                            "count": count,
                            "reason": f"{place}: {count} times {outcome} in a row",
                        }
                    )
        return causes

    def _publish(self) -> None:
        causes = self._causes()
        body = {
            "schema": ALARM_SCHEMA,
            "time": rfc3339(self._clock.now()),
            "session": self._session,
            "state": "raised" if causes else "clear",
            "since": None if self._since is None else rfc3339(self._since),
            "count": max((cause["count"] for cause in causes), default=0),
            "causes": causes,
        }
        self._announce(to_json(body))

"""The alarm: so many bad parts in a row that the line should stop rather than go on sorting."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from edge.config import AlarmConfig
from edge.core.clock import Clock
from edge.core.messages import rfc3339, to_json
from edge.core.verdict import Verdict

log = logging.getLogger(__name__)

ALARM_SCHEMA = "edge-inspect/alarm/1"


class Alarm:
    """Counts each camera (and region) for itself. One `pass` or `review` ends a run of fails; an
    `error` says nothing of the part and leaves it as it is."""

    def __init__(
        self,
        config: AlarmConfig,
        session: str,
        announce: Callable[[bytes], None],
        environment: Clock,
        show: Callable[[bool], None],
    ) -> None:
        """`announce` publishes the retained `alarm`. It is called at once, so that an alarm of an
        earlier run does not stay on the broker. `show` gets whether the alarm is raised, at each
        change."""
        self._show = show
        self._config, self._session = config, session
        self._announce, self._environment = announce, environment
        self._lock = threading.Lock()
        self._fails: dict[tuple[str, str | None], int] = {}
        self._errors: dict[tuple[str, str | None], int] = {}
        self._since: float | None = None
        self._say()

    @property
    def raised(self) -> bool:
        """Whether it is raised now."""
        return self._since is not None

    def note(self, verdict: Verdict) -> None:
        """One more verdict."""
        key = verdict.camera, verdict.region
        with self._lock:
            if verdict.verdict == "error":
                self._errors[key] = self._errors.get(key, 0) + 1
            else:
                self._errors.pop(key, None)
                if verdict.verdict == "fail":
                    self._fails[key] = self._fails.get(key, 0) + 1
                else:
                    self._fails.pop(key, None)
            causes = self._causes()
            was, now = self._since is not None, bool(causes)
            if now and not was:
                self._since = self._environment.now()
                log.error("alarm: %s", "; ".join(c["reason"] for c in causes))
            elif was and not now:
                self._since = None
                log.warning("alarm: cleared")
            if now or was:
                self._say()
        if was != now:
            self._show(now)

    def _causes(self) -> list[dict[str, Any]]:
        causes = []
        for outcome, limit, runs in (
            ("fail", self._config.fails, self._fails),
            ("error", self._config.errors, self._errors),
        ):
            for (camera, region), count in runs.items():
                if limit is not None and count >= limit:
                    where = camera if region is None else f"{camera}, region {region}"
                    causes.append(
                        {
                            "camera": camera,
                            "region": region,
                            "verdict": outcome,
                            "count": count,
                            "reason": f"{where}: {count} times {outcome} in a row",
                        }
                    )
        return causes

    def _say(self) -> None:
        causes = self._causes()
        body = {
            "schema": ALARM_SCHEMA,
            "time": rfc3339(self._environment.now()),
            "session": self._session,
            "state": "raised" if causes else "clear",
            "since": None if self._since is None else rfc3339(self._since),
            "count": max((cause["count"] for cause in causes), default=0),
            "causes": causes,
        }
        self._announce(to_json(body))

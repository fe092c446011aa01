"""The thread that watches the others: notices silence, feeds the watchdog by progress, and
publishes health."""

import logging
from typing import Protocol

from edge.core.clock import Clock, StopEvent
from edge.core.messages import to_json
from edge.core.systemd import SystemdNotifier
from edge.monitoring.components import Components
from edge.monitoring.health import Health
from edge.monitoring.progress import Progress

log = logging.getLogger(__name__)

_TICK_S = 1.0
_FIRST_TICK_S = 0.005
_LATER = 0.1  # READY is late by at most this share of the time that starting took
STALLED_S = 30.0
_LEAST_STALLED_S = 10.0  # an idle thread shows progress every 5 s


class PendingRequests(Protocol):
    """Requests that are answered later."""

    def overdue(self) -> None:
        """Answers those that waited too long."""
        ...


class Supervisor:
    """Looks once a second; while cameras start, more often, so that READY is said soon."""

    def __init__(
        self,
        components: Components,
        health: Health,
        notifier: SystemdNotifier,
        environment: Clock,
        interval_s: float,
        *,
        progress: Progress | None = None,
        pending: PendingRequests | None = None,
    ) -> None:
        """`interval_s`: how often `health` is published. `progress` gets what stands still.
        `pending`: requests whose time-outs are checked here."""
        self._components, self._health = components, health
        self._progress, self._pending = progress or Progress(), pending
        self._notifier, self._environment = notifier, environment
        self.interval_s = interval_s
        self._began = environment.tick()
        self._published = self._began - interval_s
        self._ready = False
        self._stalled = ""

    def run(self, stop: StopEvent) -> None:
        """Until the daemon stops."""
        while not stop.wait(self.pause_s()):
            try:
                self.run_once()
            except Exception:  # outermost loop: a missed look is better than no more looks
                log.exception("supervisor: unexpected fault")

    def pause_s(self) -> float:
        """How many seconds to the next look."""
        if self._ready:
            return _TICK_S
        taken = self._environment.tick() - self._began
        return min(_TICK_S, max(_FIRST_TICK_S, _LATER * taken))

    def run_once(self) -> None:
        """One look."""
        for reader in self._components.readers.values():
            reader.check()
        if self._pending is not None:
            self._pending.overdue()
        self._health.sample()
        if not self._ready and all(
            r.state != "starting" for r in self._components.readers.values()
        ):
            self._ready = True
            self._notifier.ready()
            log.info("ready: %s", self._health.summary())
        stalled = self.stalled()
        if stalled and stalled != self._stalled:
            log.error("no progress: %s; the watchdog is not fed", stalled)
        self._stalled = stalled
        self._progress.report(stalled)
        if not stalled:
            self._notifier.watchdog()
            if not self._ready:  # a camera may take longer to open than systemd would wait
                self._notifier.extend(2 * STALLED_S)
        tick = self._environment.tick()
        if tick - self._published >= self.interval_s and self._ready:
            self._published = tick
            report = self._health.report()
            self._components.publisher.announce("health", to_json(dict(report.body)))
            self._notifier.status(report.summary)

    def stalled(self) -> str:
        """Which component has made no progress for too long; empty when all have."""
        tick = self._environment.tick()
        limit = min(STALLED_S, (self._notifier.watchdog_s or 2 * STALLED_S) / 2)
        limit = max(limit, _LEAST_STALLED_S)
        beats = {
            "inspection": tick - self._components.workers.beat,
            "outbox": tick - self._components.writer.beat,
            "delivery": tick - self._components.publisher.beat,
            **{f"camera {r.id}": r.stuck_s() for r in self._components.readers.values()},
        }
        return ", ".join(f"{name} for {age:.0f} s" for name, age in beats.items() if age > limit)

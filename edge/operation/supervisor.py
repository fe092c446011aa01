"""The thread that watches the others: notices silence, feeds the watchdog by progress, and
publishes health."""

import logging

from edge.delivery.message import to_json
from edge.environment import Environment, Stop
from edge.operation.health import Health, Parts
from edge.operation.systemd import Notifier

log = logging.getLogger(__name__)

_TICK_S = 1.0
_FIRST_TICK_S = 0.005
_LATER = 0.1  # READY is said at most so much later than it might be, of what starting took
STALLED_S = 30.0
_LEAST_STALLED_S = 10.0  # who has nothing to do shows progress every 5 s


class Supervisor:
    """Looks once a second; while cameras start, as often as to say READY soon."""

    def __init__(
        self,
        parts: Parts,
        health: Health,
        notifier: Notifier,
        environment: Environment,
        interval_s: float,
    ) -> None:
        """`interval_s`: how often `health` is published."""
        self._parts, self._health = parts, health
        self._notifier, self._environment = notifier, environment
        self.interval_s = interval_s
        self._began = environment.tick()
        self._published = self._began - interval_s
        self._ready = False
        self._stalled = ""

    def run(self, stop: Stop) -> None:
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
        for reader in self._parts.readers.values():
            reader.check()
        if self._parts.picture_desk is not None:
            self._parts.picture_desk.overdue()
        self._health.sample()
        if not self._ready and all(r.state != "starting" for r in self._parts.readers.values()):
            self._ready = True
            self._notifier.ready()
            log.info("ready: %s", self._health.summary())
        stalled = self.stalled()
        if stalled and stalled != self._stalled:
            log.error("no progress: %s; the watchdog is not fed", stalled)
        self._stalled = stalled
        if not stalled:
            self._notifier.watchdog()
            if not self._ready:  # a camera may take longer to open than systemd would wait
                self._notifier.extend(2 * STALLED_S)
        tick = self._environment.tick()
        if tick - self._published >= self.interval_s and self._ready:
            self._published = tick
            report = self._health.report()
            self._parts.publisher.announce("health", to_json(report.body))
            self._notifier.status(report.summary)

    def stalled(self) -> str:
        """Which part has made no progress for too long; empty when all have."""
        tick = self._environment.tick()
        limit = min(STALLED_S, (self._notifier.watchdog_s or 2 * STALLED_S) / 2)
        limit = max(limit, _LEAST_STALLED_S)
        beats = {
            "inspection": tick - self._parts.judging.beat,
            "outbox": tick - self._parts.writer.beat,
            "delivery": tick - self._parts.publisher.beat,
            **{f"camera {r.id}": r.stuck_s() for r in self._parts.readers.values()},
        }
        return ", ".join(f"{name} for {age:.0f} s" for name, age in beats.items() if age > limit)

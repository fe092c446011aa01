"""The thread that watches the others: it checks cameras for silence, feeds systemd's watchdog while
all threads make progress, and publishes health."""

import logging
from typing import Protocol

from edge.core.clock import Clock, StopEvent
from edge.core.messages import to_json
from edge.core.systemd import SystemdNotifier
from edge.monitoring.health import Health
from edge.monitoring.health_body import Components

log = logging.getLogger(__name__)

_INTERVAL_S = 1.0
_FIRST_INTERVAL_S = 0.005
_READY_DELAY = 0.1  # while cameras start: the interval as a share of the time since the start
STALLED_S = 30.0
_MIN_STALLED_S = 10.0  # an idle thread shows progress every 5 s


class Progress:
    """Whether all threads make progress. The supervisor writes it; the output `alive` reads it."""

    def __init__(self) -> None:
        self.stalled = ""  # the components without progress; empty when there are none

    def alive(self) -> bool:
        """Whether all threads make progress."""
        return not self.stalled


class PendingRequests(Protocol):
    """Requests whose answers come later."""

    def overdue(self) -> None:
        """Answers the requests that waited too long."""


class DailyWork(Protocol):
    """The daily work."""

    def look(self) -> None:
        """Begins it when it is due. Never waits."""


class Supervisor:
    """Looks once a second; more often until all cameras have started, so that READY is early."""

    def __init__(
        self,
        components: Components,
        health: Health,
        notifier: SystemdNotifier,
        clock: Clock,
        interval_s: float,
        *,
        progress: Progress | None = None,
        pending: PendingRequests | None = None,
        daily: DailyWork | None = None,
    ) -> None:
        """
        interval_s: between two `health` messages. May be set.
        progress: gets the names of stalled components.
        pending: requests whose time-outs are checked here.
        daily: begun here.
        """
        self.interval_s = interval_s
        self._components, self._health = components, health
        self._progress, self._pending = progress or Progress(), pending
        self._daily = daily
        self._notifier, self._clock = notifier, clock
        self._started_at = clock.tick()
        self._published_at = self._started_at - interval_s
        self._ready = False
        self._reported: set[tuple[str, bool]] = set()  # failed threads of the last look

    def run(self, stop: StopEvent) -> None:
        """Until the daemon stops."""
        while not stop.wait(self.pause_s()):
            try:
                self.run_once()
            except Exception:  # outermost loop: the supervisor must go on
                log.exception("supervisor: unexpected fault")

    def pause_s(self) -> float:
        """Seconds until the next look."""
        if self._ready:
            return _INTERVAL_S
        taken = self._clock.tick() - self._started_at
        return min(_INTERVAL_S, max(_FIRST_INTERVAL_S, _READY_DELAY * taken))

    def run_once(self) -> None:
        """One look."""
        readers = self._components.readers.values()
        for reader in readers:
            reader.check()
        if self._pending is not None:
            self._pending.overdue()
        if self._daily is not None:
            self._daily.look()
        self._health.sample()
        # a camera that settles has started: READY does not wait for it
        if not self._ready and all(r.state != "starting" or r.frames > 0 for r in readers):
            self._ready = True
            self._notifier.ready()
            log.info("ready: %s", self._health.summary())
        self._feed_watchdog()
        tick = self._clock.tick()
        failed = {(fault.name, fault.ended) for fault in self._components.threads.faults()}
        due = tick - self._published_at >= self.interval_s or bool(failed - self._reported)
        self._reported = failed
        if due and self._ready:
            self._published_at = tick
            report = self._health.report()
            self._components.publisher.announce("health", to_json(dict(report.body)))
            self._notifier.status(report.summary)

    def stalled(self) -> str:
        """The components that have made no progress for too long; empty when there are none."""
        tick = self._clock.tick()
        limit = min(STALLED_S, (self._notifier.watchdog_s or 2 * STALLED_S) / 2)
        limit = max(limit, _MIN_STALLED_S)
        ages = {
            "inspection": tick - self._components.workers.beat,
            "outbox": tick - self._components.writer.beat,
            "delivery": tick - self._components.publisher.beat,
            **{f"camera {r.id}": r.stuck_s() for r in self._components.readers.values()},
        }
        names = [f"{name} for {age:.0f} s" for name, age in ages.items() if age > limit]
        threads = self._components.threads.faults()
        names += [f"thread {one.name}" for one in threads if one.ended and one.vital]
        return ", ".join(names)

    def _feed_watchdog(self) -> None:
        stalled = self.stalled()
        if stalled and stalled != self._progress.stalled:
            log.error("no progress: %s; the watchdog is not fed", stalled)
        self._progress.stalled = stalled
        if stalled:
            return
        self._notifier.watchdog()
        if not self._ready:  # a camera may take longer to open than systemd would wait
            self._notifier.extend(2 * STALLED_S)

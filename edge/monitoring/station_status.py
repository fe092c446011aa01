"""Publishes what runs on this box: `info`, and after a reload also `health` and systemd's line."""

from edge.config.reload_state import ReloadState
from edge.core.clock import Clock
from edge.core.messages import to_json
from edge.core.systemd import SystemdNotifier
from edge.monitoring.components import Broker
from edge.monitoring.health import Health
from edge.monitoring.station_info import info_body
from edge.pipeline import RunningModel


class StationStatus:
    """Safe between threads."""

    def __init__(
        self,
        *,
        state: ReloadState,
        model: RunningModel,
        health: Health,
        publisher: Broker,
        notifier: SystemdNotifier,
        environment: Clock,
        session: str,
    ) -> None:
        self._state, self._model, self._health = state, model, health
        self._publisher, self._notifier = publisher, notifier
        self._environment, self._session = environment, session

    def announce_info(self) -> None:
        """Publishes the retained `info`."""
        body = info_body(
            self._state.config,
            self._model.inspector,
            self._environment,
            self._session,
            problems=self._state.problems,
            restart_required=self._state.restart_required,
        )
        self._publisher.announce("info", to_json(body))

    def announce_reload(self) -> None:
        """Publishes what a reload changed, or why it was refused."""
        self.announce_info()
        report = self._health.report()
        self._publisher.announce("health", to_json(dict(report.body)))
        self._notifier.status(report.summary)

"""Publishes the retained `info` at start and after each reload, then also `health`."""

import platform
from typing import Any

import edge
from edge.config import ReloadState, mask_credentials
from edge.core.clock import Clock
from edge.core.messages import rfc3339, to_json
from edge.core.systemd import SystemdNotifier
from edge.monitoring.health import Health
from edge.mqtt import Publisher
from edge.pipeline import RunningModel

INFO_SCHEMA = "edge-inspect/info/1"


class StationStatus:
    """Safe between threads."""

    def __init__(
        self,
        *,
        state: ReloadState,
        model: RunningModel,
        health: Health,
        publisher: Publisher,
        notifier: SystemdNotifier,
        clock: Clock,
        session: str,
    ) -> None:
        self._state, self._model, self._health = state, model, health
        self._publisher, self._notifier = publisher, notifier
        self._clock, self._session = clock, session

    def announce_info(self) -> None:
        """Publishes the retained `info`."""
        body = info_body(self._state, self._model, self._clock, self._session)
        self._publisher.announce("info", to_json(body))

    def announce_reload(self) -> None:
        """Publishes the outcome of a reload, also to systemd."""
        self.announce_info()
        report = self._health.report()
        self._publisher.announce("health", to_json(dict(report.body)))
        self._notifier.status(report.summary)


def info_body(
    state: ReloadState, model: RunningModel, clock: Clock, session: str
) -> dict[str, Any]:
    """The body of `info`. The order of keys is the order in the JSON."""
    inspector, recipes = model.inspector, model.recipes
    identity, thresholds = inspector.identity, inspector.thresholds
    return {
        "schema": INFO_SCHEMA,
        "time": rfc3339(clock.now()),
        "session": session,
        "boot_id": clock.boot_id(),
        "versions": {
            "edge_inspect": edge.__version__,
            "python": platform.python_version(),
            "runtime": inspector.runtime,
        },
        "model": {
            "name": identity.name,
            "version": identity.version,
            "sha256": identity.sha256,
            "signed_by": inspector.file.signed_by,
        },
        "labels": list(inspector.labels),
        "thresholds": {
            "reject_at": thresholds.reject_at,
            "review_from": thresholds.review_from,
        },
        "config": state.config.hash,
        "config_problems": list(state.problems),
        "restart_required": list(state.restart_required),
        "cameras": [
            {
                "id": camera.id,
                "source": mask_credentials(camera.source),
                "trigger": camera.trigger.kind,
            }
            for camera in state.config.cameras
        ],
        "recipes": [
            {"number": number, "name": name, "fault": recipes.faults.get(number)}
            for number, name in recipes.names.items()
        ],
    }

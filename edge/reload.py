"""Applies a new config.yaml to the running components."""

import hashlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from edge.config import Config, load_config, place_of
from edge.config.diff import ConfigDiff
from edge.core.clock import Clock
from edge.core.errors import ConfigError, EdgeInspectError
from edge.inspection.inspector import Inspector
from edge.monitoring.station_status import StationStatus
from edge.monitoring.supervisor import Supervisor
from edge.mqtt.delivery import DeliveryService
from edge.pipeline import (
    Judge,
    Pipeline,
    RunningModel,
    build_inspector,
    build_judge,
    check_views,
    choose_camera,
    image_profiles,
)
from edge.plant.plant import PlantInterface
from edge.storage import Evidence

CameraByName = Callable[[str | None], str]


class HttpServer(Protocol):
    """The HTTP server; its packages are optional."""

    def adopt(self, judge: Judge, whose: CameraByName) -> None:
        """Judges by another judge from the next request on."""
        ...

    def run(self) -> None:
        """Serves until closed."""
        ...

    def close(self) -> None:
        """Ends the server."""
        ...


class Reconfiguration:
    """A `Reconfigurable` of all that a reload can change. Not for use by two threads at once."""

    def __init__(
        self,
        path: Path | None,
        *,
        model: RunningModel,
        line: Pipeline,
        plant: PlantInterface,
        delivery: DeliveryService,
        evidence: Evidence,
        web: HttpServer | None,
        supervisor: Supervisor,
        status: StationStatus,
        environment: Clock,
    ) -> None:
        """`path`: the file to read; None: there is none, and nothing can be reloaded."""
        self._path, self._model, self._environment = path, model, environment
        self._line, self._plant, self._delivery = line, plant, delivery
        self._evidence, self._web = evidence, web
        self._supervisor, self._status = supervisor, status

    def load(self) -> Config:
        """Reads the file. Raises EdgeInspectError."""
        if self._path is None:
            raise EdgeInspectError("this daemon was started without a file to read again")
        return load_config(self._path)

    def model_differs(self, config: Config) -> bool:
        """Whether the model's file is not the one that runs."""
        try:
            data = config.model.path.read_bytes()
        except OSError:
            return True  # loading it fails with a sentence that says why
        return hashlib.sha256(data).hexdigest() != self._model.inspector.identity.sha256

    def apply(self, old: Config, changes: ConfigDiff) -> None:
        """Applies the changes. Raises EdgeInspectError with the old configuration running: what can
        fail comes first."""
        config = changes.config
        inspector = self._new_inspector(config, changes)
        web_judge = None if self._web is None else judge_for_web(config, self._environment)
        if changes.wires:
            self._plant.release()
        try:
            self._plant.adopt(config)
            self._line.adopt(old, changes, inspector)
        except EdgeInspectError:
            self._plant.release()
            self._plant.adopt(old)
            raise
        self._delivery.adopt(config, broker=changes.broker, snapshots=changes.snapshots)
        if changes.archive:
            self._evidence.adopt(config.archive)
        if self._web is not None and web_judge is not None:
            self._web.adopt(*web_judge)
        self._supervisor.interval_s = config.health.interval_s
        logging.getLogger().setLevel(config.log.level.upper())

    def announce(self) -> None:
        """Publishes what runs now."""
        self._status.announce_reload()

    def _new_inspector(self, config: Config, changes: ConfigDiff) -> Inspector:
        """The model of the new configuration. Raises ConfigError with the place of each view that
        does not fit."""
        assert self._path is not None
        inspector = self._model.inspector
        if changes.model or changes.decision:
            try:
                inspector = build_inspector(config)
            except EdgeInspectError as error:
                raise ConfigError([f"{place_of(self._path, 'model', 'path')}: {error}"]) from error
        problems = []
        for index, camera in enumerate(config.cameras):
            try:
                check_views([camera], inspector.input)
            except ConfigError as error:
                place = place_of(self._path, "cameras", index, "view")
                problems += [f"{place}: {problem}" for problem in error.problems]
        if problems:
            raise ConfigError(problems)
        return inspector


def judge_for_web(config: Config, environment: Clock) -> tuple[Judge, CameraByName]:
    """The judge of `POST /predict`, and the camera as which it judges a picture.

    It has an interpreter of its own: a request must never make a camera's frame wait.
    """
    inspector = build_inspector(config)
    profiles = image_profiles(config.cameras, inspector, one_verdict=True)
    judge = build_judge(config, inspector, environment, None, profiles=profiles)
    return judge, partial(choose_camera, profiles)

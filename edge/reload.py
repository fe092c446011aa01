"""Applies a new config.yaml to the running components."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from edge.config import Config, ConfigDiff, key_position, load_config
from edge.core.clock import Clock
from edge.core.errors import ConfigError, EdgeInspectError
from edge.inspection import Inspector
from edge.monitoring import StationStatus, Supervisor
from edge.mqtt import DeliveryService
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
from edge.plant import PlantInterface
from edge.storage import Evidence

CameraByName = Callable[[str | None], str]


class HttpServer(Protocol):
    """The HTTP server. It needs optional packages, so this module must not import it."""

    def adopt(self, judge: Judge, camera_for: CameraByName) -> None:
        """Judges by another judge from the next request on."""
        ...

    def run(self) -> None:
        """Serves until closed."""
        ...

    def close(self) -> None:
        """Stops the server."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconfiguration:
    """Applies a reload to all components. Not thread-safe.

    `path`: the file to read; None: each reload is refused.
    """

    path: Path | None
    model: RunningModel
    pipeline: Pipeline
    plant: PlantInterface
    delivery: DeliveryService
    evidence: Evidence
    web: HttpServer | None
    supervisor: Supervisor
    status: StationStatus
    clock: Clock

    def load(self) -> Config:
        """Reads the file. Raises EdgeInspectError."""
        if self.path is None:
            raise EdgeInspectError("this daemon was started without a file; start it with -c FILE")
        return load_config(self.path)

    def model_file_differs(self, config: Config) -> bool:
        """Whether the model file differs from the running model."""
        try:
            data = config.model.path.read_bytes()
        except OSError:
            return True  # loading it reports the error
        return hashlib.sha256(data).hexdigest() != self.model.inspector.identity.sha256

    def apply(self, old: Config, changes: ConfigDiff) -> None:
        """Applies the changes; the steps that can fail come first. After an EdgeInspectError the
        old configuration runs."""
        config = changes.config
        inspector = self._new_inspector(config, changes)
        web_judge = None if self.web is None else judge_for_web(config, self.clock)
        if changes.outputs:
            self.plant.release()
        try:
            self.plant.adopt(config)
            self.pipeline.adopt(old, changes, inspector)
        except EdgeInspectError:
            self.plant.release()
            self.plant.adopt(old)
            raise
        self.delivery.adopt(config, broker=changes.broker, snapshots=changes.snapshots)
        if changes.archive:
            self.evidence.adopt(config.archive)
        if self.web is not None and web_judge is not None:
            self.web.adopt(*web_judge)
        self.supervisor.interval_s = config.health.interval_s
        logging.getLogger().setLevel(config.log.level.upper())

    def announce(self) -> None:
        """Publishes the new state."""
        self.status.announce_reload()

    def _new_inspector(self, config: Config, changes: ConfigDiff) -> Inspector:
        """The model of the new configuration. Raises ConfigError with the place of the model's or
        each view's mistake."""
        assert self.path is not None
        inspector = self.model.inspector
        if changes.model or changes.decision:
            try:
                inspector = build_inspector(config)
            except EdgeInspectError as error:
                place = key_position(self.path, "model", "path")
                raise ConfigError([f"{place}: {error}"]) from error
        problems = []
        for index, camera in enumerate(config.cameras):
            try:
                check_views([camera], inspector.input)
            except ConfigError as error:
                place = key_position(self.path, "cameras", index, "view")
                problems += [f"{place}: {problem}" for problem in error.problems]
        if problems:
            raise ConfigError(problems)
        return inspector


def judge_for_web(config: Config, clock: Clock) -> tuple[Judge, CameraByName]:
    """The judge of `POST /predict`, and a function that finds a picture's camera by name.

    Its interpreter is separate, so that a request never delays a camera's frame.
    """
    inspector = build_inspector(config)
    profiles = image_profiles(config.cameras, inspector, one_verdict=True)
    judge = build_judge(config, inspector, clock, None, profiles=profiles)
    return judge, partial(choose_camera, profiles)

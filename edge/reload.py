"""Applies a new config.yaml to the running components."""

import hashlib
import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from edge.config import Config, ConfigDiff, key_position, load_config, pin_numbers
from edge.core.clock import Clock, StopEvent
from edge.core.errors import ConfigError, EdgeInspectError
from edge.core.regular_file import read_named
from edge.inspection import Inspector
from edge.models import model_path
from edge.monitoring import StationStatus, Supervisor
from edge.mqtt import DeliveryService
from edge.pipeline import (
    Judge,
    Pipeline,
    PipelineChange,
    RecipeModels,
    RecipeSelection,
    RunningModel,
    build_inspector,
    build_judge,
    check_views,
    choose_camera,
    image_profiles,
)
from edge.plant import PlantInterface
from edge.storage import Evidence, HistorySettings, HistoryWriter

log = logging.getLogger(__name__)

CameraByName = Callable[[str | None], str]


class HttpServer(Protocol):
    """The HTTP server. It needs optional packages, so this module must not import it."""

    def adopt(self, judge: Judge, camera_for: CameraByName) -> tuple[Judge, CameraByName]:
        """Judges by another judge from the next request on. Returns the arguments so far."""
        ...

    def run(self) -> None:
        """Serves until closed."""
        ...

    def close(self) -> None:
        """Stops the server."""
        ...


class ModelVersions(Protocol):
    """What follows the active versions; `edge.daemon.model_parts.ModelParts` implements it."""

    def look_again(self) -> None:
        """Other versions may judge. Returns at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconfiguration:
    """Applies a reload to all components. Not thread-safe.

    `path`: the file to read; None: each reload is refused.
    """

    path: Path | None
    model: RunningModel
    selection: RecipeSelection
    pipeline: Pipeline
    plant: PlantInterface
    delivery: DeliveryService
    history: HistoryWriter
    evidence: Evidence
    web: HttpServer | None
    supervisor: Supervisor
    status: StationStatus
    models: ModelVersions
    clock: Clock
    _stop: StopEvent = field(default_factory=StopEvent)
    _committing: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> Config:
        """Reads the file. Raises EdgeInspectError."""
        if self.path is None:
            raise EdgeInspectError("this daemon was started without a file; start it with -c FILE")
        return load_config(self.path)

    def model_file_differs(self, config: Config) -> bool:
        """Whether a model differs from the running one of that path or name."""
        running = {str(config.model.path): self.model.inspector.identity.sha256}
        running |= self.model.recipes.hashes
        paths = [config.model.path, *(one.model for one in config.recipes if one.model)]
        return any(_sha256(config, path) != running.get(str(path)) for path in paths)

    def apply(self, old: Config, changes: ConfigDiff) -> None:
        """Applies all changes, or none.

        First everything that can fail is built beside what runs. Then one step replaces it, while
        the inspection workers pause between two frames. The steps after that cannot fail the
        reload. After an exception the old configuration runs as before.
        """
        stop, after = self._stop, ExitStack()
        with ExitStack() as undo:
            change, others = self._prepare(old, changes, undo, after)
            with self._committing:
                try:
                    self.pipeline.adopt(change, others, stop)
                except BaseException:
                    if not change.done:
                        raise
                    log.exception("reload: unexpected fault after the change")
                undo.pop_all()
                after.callback(self.pipeline.finish, change, stop)
                self._end(after)

    def stop(self, timeout: float) -> bool:
        """Refuses all changes from now on. Whether a change that had begun is complete or taken
        back, after at most `timeout` seconds."""
        self._stop.set()
        free = self._committing.acquire(timeout=timeout)
        if free:
            self._committing.release()
        return free

    def announce(self) -> None:
        """Publishes the new state, and looks at the versions that judge now."""
        self.models.look_again()
        self.status.announce_reload()

    def _prepare(
        self, old: Config, changes: ConfigDiff, undo: ExitStack, after: ExitStack
    ) -> tuple[PipelineChange, Callable[[ExitStack], None]]:
        """Builds all that can fail. Returns the pipeline's part, and the function that replaces the
        other components, given what takes that back.

        after: gets what ends the replaced components.
        """
        config = changes.config
        inspector = self._new_inspector(config, changes)
        recipes = self._new_recipes(config, changes, inspector)
        web_judge = None if self.web is None else judge_for_web(config, self.clock)
        in_use = pin_numbers(old)
        outputs, held = self.plant.outputs, []
        if changes.outputs:
            outputs = self.plant.build_outputs(config)
            for pin in [] if outputs is None else outputs.pins:
                if pin.number in in_use:
                    held.append(pin)
                else:
                    undo.callback(pin.close)
                    pin.open()
        archive = self.evidence.prepare(config.archive, undo) if changes.archive else None
        change = self.pipeline.prepare(
            changes, inspector, lambda pin: pin not in in_use, undo, recipes
        )

        def others(undo: ExitStack) -> None:
            """Replaces all but the pipeline."""
            if changes.outputs:
                if (replaced := self.plant.outputs) is not None:
                    after.callback(replaced.close)
                self.plant.adopt(outputs, held, undo)
            self.plant.adopt_alarm(config.decision.alarm, undo)
            undo.callback(self.history.adopt, self.history.settings)
            self.history.adopt(HistorySettings.of(config.history, config.archive.rate_in_force))
            if changes.archive and (kept := self.evidence.adopt(archive, undo)) is not None:
                after.callback(kept.close)
            if self.web is not None and web_judge is not None:
                undo.callback(self.web.adopt, *self.web.adopt(*web_judge))
            undo.callback(setattr, self.supervisor, "interval_s", self.supervisor.interval_s)
            self.supervisor.interval_s = config.health.interval_s
            root = logging.getLogger()
            undo.callback(root.setLevel, root.level)
            root.setLevel(config.log.level.upper())
            broker, snapshots = changes.broker, changes.snapshots
            undo.callback(self.delivery.adopt, old, broker=broker, snapshots=snapshots)
            self.delivery.adopt(config, broker=broker, snapshots=snapshots)

        return change, others

    @staticmethod
    def _end(replaced: ExitStack) -> None:
        """Ends the replaced components. Raises nothing: the new configuration runs already."""
        try:
            replaced.close()
        except Exception:  # outermost: a fault here must not refuse a change that is done
            log.exception("reload: unexpected fault while the old components end")

    def _new_inspector(self, config: Config, changes: ConfigDiff) -> Inspector:
        """The model of the new configuration. Raises ConfigError with the place of the model's or
        each view's mistake."""
        assert self.path is not None
        inspector = self.model.inspector
        if changes.model or changes.decision:
            try:
                inspector = build_inspector(config, self.path)
            except ConfigError:
                raise
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

    def _new_recipes(
        self, config: Config, changes: ConfigDiff, inspector: Inspector
    ) -> RecipeModels:
        """The models of the new configuration's recipes, all loaded and checked. Raises ConfigError
        with the place of each recipe that cannot be used."""
        assert self.path is not None
        recipes = RecipeModels(
            config,
            inspector,
            self.path,
            in_use=self.selection.in_use,
            before=None if changes.model else self.model.recipes,
        )
        problems = [
            f"{key_position(self.path, 'recipes', index, 'model')}: {recipes.faults[one.number]}"
            for index, one in enumerate(config.recipes)
            if one.number in recipes.faults
        ]
        if problems:
            raise ConfigError(problems)
        return recipes


def judge_for_web(config: Config, clock: Clock) -> tuple[Judge, CameraByName]:
    """The judge of `POST /predict`, and a function that finds a picture's camera by name.

    Its interpreter is separate, so that a request never delays a camera's frame.
    """
    inspector = build_inspector(config)
    profiles = image_profiles(config.cameras, inspector, one_verdict=True)
    judge = build_judge(config, inspector, clock, None, profiles=profiles)
    return judge, partial(choose_camera, profiles)


def _sha256(config: Config, which: Path) -> str | None:
    """None when it cannot be read; loading it reports the error."""
    try:
        return hashlib.sha256(read_named(model_path(config, which))).hexdigest()
    except (OSError, EdgeInspectError):
        return None

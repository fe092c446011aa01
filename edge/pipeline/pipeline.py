"""The pipeline: all cameras and inspection workers. It builds, changes and stops them.

A change never mixes configurations. The old one finishes the frames and parts that it began; the
new one judges everything that comes afterwards.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from edge.capture import ItemLedger, OpenCamera
from edge.config import Config, ConfigDiff
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.gpio import PinFactory
from edge.core.part import Part
from edge.core.percentiles import Latencies
from edge.inspection import Inspector
from edge.pipeline.build import build_judge
from edge.pipeline.camera_recipes import CameraRecipes, CameraSettings
from edge.pipeline.camera_unit import CameraUnit
from edge.pipeline.judge import Judge
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.recipe_models import RecipeModels, build_judges, clones, recipe_judge
from edge.pipeline.recipe_selection import NothingStored, RecipeSelection
from edge.pipeline.running_state import RunningCameras, RunningModel
from edge.pipeline.view_selection import view_of
from edge.pipeline.worker import InspectionWorker, VerdictSink
from edge.pipeline.worker_pool import WorkerPool

log = logging.getLogger(__name__)

_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class PipelineTimeouts:
    """In seconds.

    join_s: for a camera's thread to end.
    finish_s: for parts that were accepted before a change to get their verdicts.
    pause_s: for a worker to finish its frame.
    """

    join_s: float = 5.0
    finish_s: float = 5.0
    pause_s: float = 30.0


@dataclass(slots=True)
class PipelineChange:
    """What `Pipeline.prepare` has built. `done`: the new configuration runs."""

    config: Config
    inspector: Inspector
    recipes: RecipeModels
    judges: Sequence[Judges]  # by worker
    removed: Sequence[CameraUnit]
    added: Sequence[CameraUnit]
    done: bool = False


class Pipeline:
    """Cameras put frames into the workers' mailboxes; workers deliver verdicts to the sink."""

    def __init__(
        self,
        config: Config,
        model: RunningModel,
        clock: Clock,
        *,
        cameras: RunningCameras,
        sink: VerdictSink,
        note_part: Callable[[Part, int], None],
        next_number: Callable[[str], int],
        parts_changed: Callable[[], None],
        processed_items: ItemLedger,
        open_camera: OpenCamera,
        selection: RecipeSelection | None = None,
        latencies: Latencies | None = None,
        factory: PinFactory | None = None,
        timeouts: PipelineTimeouts | None = None,
    ) -> None:
        """Opens the input pins; no thread runs yet. Raises EdgeInspectError when a pin cannot
        be used.

        - `cameras`, `model`: the running ones; changed here, read elsewhere.
        - `note_part`, `next_number`, `parts_changed`, `open_camera`, `factory`: see `CameraUnit`.
        - `processed_items`: the files that have a verdict.
        - `selection`: which recipes are current; None: there are no recipes.
        """
        self._config, self._model, self._clock = config, model, clock
        self._cameras, self._sink = cameras, sink
        self._selection = selection or RecipeSelection({}, NothingStored(), clock)
        self._changing = threading.Lock()  # a loaded recipe must not enter judges that are replaced
        self._latencies = latencies or Latencies()
        self._timeouts = timeouts or PipelineTimeouts()
        self._units: dict[str, CameraUnit] = {}
        self.workers = WorkerPool(config.model.workers, self._new_worker)
        self._new_unit = partial(
            CameraUnit,
            clock=clock,
            processed_items=processed_items,
            open_camera=open_camera,
            note_part=note_part,
            next_number=next_number,
            parts_changed=parts_changed,
            model=model,
            factory=factory,
        )
        units = [
            self._build_unit(settings, model.inspector)
            for settings in self._camera_recipes(config, model.inspector, model.recipes)
        ]
        self._show({unit.config.id: unit for unit in units})
        try:
            for unit in units:
                unit.open_pins()
        except EdgeInspectError:
            self.stop_accepting()
            raise

    def start(self) -> None:
        """Starts the workers, then the cameras."""
        self.workers.start()
        for unit in self._units.values():
            unit.prepare()
        for unit in self._units.values():
            unit.go()

    def prepare(
        self,
        changes: ConfigDiff,
        inspector: Inspector,
        free: Callable[[int], bool],
        undo: ExitStack,
        recipes: RecipeModels | None = None,
    ) -> PipelineChange:
        """Builds all that the new configuration needs, its threads included. Nothing that runs
        changes. Raises EdgeInspectError when a pin cannot be used.

        free: whether the old configuration does not use a pin; such pins are opened now.
        undo: gets what discards it.
        recipes: the models of the recipes; None: the running ones.
        """
        config, recipes = changes.config, recipes or self._model.recipes
        settings = self._camera_recipes(config, inspector, recipes)
        removed = self._changed_units(changes, settings)
        replaced = {unit.config.id: unit for unit in removed}
        self.workers.keep_state(undo)
        self.workers.set_limit(config.model.workers)
        added = []
        for camera in settings:
            name = camera.common.config.id
            if name in replaced or name in changes.added:
                unit = self._build_unit(camera, inspector, replaced.get(name))
                undo.callback(unit.stop)
                undo.callback(unit.close_pins)
                unit.prepare()
                if all(free(pin) for pin in unit.pins):
                    unit.open_pins()
                added.append(unit)
        judges = [
            self._judges(config, self._inspector_for(worker, inspector), recipes, first=not index)
            for index, worker in enumerate(self.workers.all)
        ]
        self.workers.start()
        return PipelineChange(
            config, inspector, recipes, tuple(judges), tuple(removed), tuple(added)
        )

    def adopt(
        self, change: PipelineChange, others: Callable[[ExitStack], None], stop: StopEvent
    ) -> None:
        """Makes a prepared change in one step, between two frames of all workers. Every later
        verdict belongs to the new configuration. `finish` comes afterwards.

        others: makes the changes of the other components in the same step. Its argument gets what
            takes them back.
        stop: the daemon stops; then nothing is changed.

        Raises the error of the step that fails; then the old configuration runs as before.
        """
        with ExitStack() as undo:
            self._drain(change.removed, stop, undo)
            switch = partial(self._switch, change, others, stop)
            pause_s = self._timeouts.pause_s
            try:
                with self._changing:
                    paused = self.workers.run_paused(switch, pause_s, stop.is_set)
                if not paused:
                    _refuse_when(stop)
                    why = f"the model did not come to the end of a frame in {pause_s:g} s"
                    raise RefusedError(why)
            finally:
                if change.done:
                    undo.pop_all()

    def finish(self, change: PipelineChange, stop: StopEvent) -> None:
        """Ends the cameras that were replaced, then starts the new ones. `stop` cuts waiting."""
        try:
            for unit in change.removed:
                unit.stop()
            for unit in change.removed:
                if not self._wait_until(partial(unit.join, 0), self._timeouts.join_s, stop):
                    log.warning("camera %s: hangs in its driver; it is left behind", unit.config.id)
        finally:
            with ExitStack() as start:  # twice: an exception must leave no camera unopened
                for unit in (*change.added, *change.added):
                    start.callback(unit.go)

    def load_recipe(self, number: int) -> None:
        """Loads a recipe whose model is not in memory; its parts get `error` until then. Takes as
        long as the load; the workers go on meanwhile."""
        recipes = self._model.recipes
        unloaded = recipes.load(number)
        inspector = recipes.inspector(number)
        with self._changing:
            if recipes is not self._model.recipes:
                return  # a reload has replaced them
            for worker in self.workers.all:
                for one in unloaded:
                    worker.judges.drop(one)
                if inspector is not None:
                    own = inspector if worker is self.workers.all[0] else inspector.clone()
                    judge = recipe_judge(self._config.hash, recipes, number, own, self._new_judge)
                    worker.judges.put(number, judge)

    def stop_accepting(self) -> None:
        """Refuses all further parts; the workers answer the open ones."""
        for unit in self._units.values():
            unit.stop_accepting()
            unit.close_pins()

    def stop(self) -> list[str]:
        """Stops the cameras and closes the mailboxes, so that each worker ends. Returns the threads
        of cameras that hang."""
        units = list(self._units.values())
        for unit in units:
            unit.stop()
        hung = [
            f"camera-{unit.config.id}" for unit in units if not unit.join(self._timeouts.join_s)
        ]
        self.workers.close()
        return hung

    def _changed_units(
        self, changes: ConfigDiff, settings: Sequence[CameraRecipes]
    ) -> list[CameraUnit]:
        """The running cameras that must be stopped: those whose settings change, in the common part
        or in a recipe. A camera without its own view has the model's, and so changes with it."""
        same = {
            new.common.config.id
            for new in settings
            if (old := self._units.get(new.common.config.id)) is not None
            and (old.recipes.common, old.recipes.by_number) == (new.common, new.by_number)
        }
        return [
            unit
            for name, unit in self._units.items()
            if name not in same or name in changes.removed
        ]

    def _drain(self, removed: Sequence[CameraUnit], stop: StopEvent, undo: ExitStack) -> None:
        """The old configuration finishes the parts and files that it has begun."""
        for unit in removed:
            undo.callback(unit.accept_again)
            unit.stop_accepting()
        limit_s = self._timeouts.finish_s
        self._wait_until(
            lambda: not any(unit.tracker and unit.tracker.open for unit in removed), limit_s, stop
        )
        files = [unit for unit in removed if not unit.config.live]
        for unit in files:
            undo.callback(unit.hold, held=False)
            unit.hold(held=True)
        names = [unit.config.id for unit in files]
        self._wait_until(
            lambda: not any(self.workers.worker_for(n).mailbox.has_frame(n) for n in names),
            limit_s,
            stop,
        )

    def _switch(
        self, change: PipelineChange, others: Callable[[ExitStack], None], stop: StopEvent
    ) -> None:
        """From the old configuration to the new one; all workers are paused."""
        _refuse_when(stop)
        removed, added = change.removed, change.added
        with ExitStack() as undo:
            for unit in removed:
                undo.callback(unit.reopen_pins)
                unit.close_pins()
            others(undo)  # the outputs first: a trigger may get the pin of one
            for unit in added:
                undo.callback(unit.close_pins)
                unit.open_pins()
            for unit in removed:
                undo.callback(unit.shut, shut=False)
                unit.shut()
                name = unit.config.id
                reason = "the configuration was changed before it was judged"
                self.workers.worker_for(name).finish(name, reason)
            undo.callback(self._show, self._units)
            for worker, judge in zip(self.workers.all, change.judges, strict=True):
                undo.callback(worker.adopt, worker.judges)
                worker.adopt(judge)
            undo.callback(self._model.adopt, self._model.inspector, self._model.recipes)
            self._model.adopt(change.inspector, change.recipes)
            undo.callback(setattr, self._selection, "names", self._selection.names)
            self._selection.names = change.recipes.names
            undo.callback(setattr, self, "_config", self._config)
            self._config = change.config
            for unit in added:
                unit.take_over()
            gone = {unit.config.id: unit for unit in removed}
            kept = {name: unit for name, unit in self._units.items() if name not in gone}
            for name in gone:
                self.workers.worker_for(name).mailbox.drop_camera(name)
            self._show({**kept, **{unit.config.id: unit for unit in added}})
            change.done = True
            undo.pop_all()

    def _new_worker(self, others: int) -> InspectionWorker:
        """A worker with its own interpreter, beside `others` workers."""
        model = self._model
        inspector = model.inspector.clone() if others else model.inspector
        judges = self._judges(self._config, inspector, model.recipes, first=not others)
        return InspectionWorker(Mailbox(), judges, self._sink, self._clock)

    def _inspector_for(self, worker: InspectionWorker, inspector: Inspector) -> Inspector:
        """A worker's own inspector: an interpreter is for one thread."""
        if inspector is self._model.inspector:
            return worker.judges.common.inspector
        return inspector if worker is self.workers.all[0] else inspector.clone()

    def _judges(
        self, config: Config, inspector: Inspector, recipes: RecipeModels, *, first: bool
    ) -> Judges:
        """The judges of one worker. The first worker uses the models themselves, each other one
        has copies."""
        loaded = recipes.loaded if first else clones(recipes.loaded)
        return build_judges(config, inspector, recipes, loaded, self._new_judge)

    def _new_judge(self, config: Config, inspector: Inspector, **more: Any) -> Judge:
        return build_judge(
            config,
            inspector,
            self._clock,
            config.decision.deadline_ms,
            latencies=self._latencies,
            on_bad_picture=self._cameras.picture_rejected,
            **more,
        )

    def _camera_recipes(
        self, config: Config, inspector: Inspector, recipes: RecipeModels
    ) -> list[CameraRecipes]:
        """The settings of all cameras, in the order of the file."""
        merged = {number: recipes.merged(number) for number in recipes.names}
        return [
            CameraRecipes(
                CameraSettings(camera, view_of(camera, inspector.input)),
                {
                    number: CameraSettings(
                        one.cameras[index],
                        view_of(one.cameras[index], recipes.inputs.get(number, inspector.input)),
                    )
                    for number, one in merged.items()
                },
                self._selection,
                recipes.why_unusable,
            )
            for index, camera in enumerate(config.cameras)
        ]

    def _wait_until(self, condition: Callable[[], bool], seconds: float, stop: StopEvent) -> bool:
        """Waits for `condition`, at most `seconds`, and not longer than until `stop`."""
        until = self._clock.tick() + seconds
        while not condition():
            if self._clock.tick() >= until or stop.wait(_POLL_S):
                return condition()
        return True

    def _build_unit(
        self, camera: CameraRecipes, inspector: Inspector, before: CameraUnit | None = None
    ) -> CameraUnit:
        mailbox = self.workers.assign(camera.common.config.id).mailbox
        return self._new_unit(camera, mailbox, input_spec=inspector.input, predecessor=before)

    def _show(self, units: Mapping[str, CameraUnit]) -> None:
        """These cameras run from now on, for all who ask."""
        self._units = dict(units)
        trackers = {name: unit.tracker for name, unit in units.items() if unit.tracker is not None}
        for worker in self.workers.all:
            worker.mailbox.trackers.replace(
                {n: t for n, t in trackers.items() if self.workers.worker_for(n) is worker}
            )
        self._cameras.replace({name: unit.reader for name, unit in units.items()}, trackers)
        self.workers.keep_only(units)


def _refuse_when(stop: StopEvent) -> None:
    if stop.is_set():
        raise RefusedError("the daemon stops")

"""The pipeline: all cameras and inspection workers. It builds, changes and stops them.

A change never mixes configurations. The old one finishes the frames and parts that it began; the
new one judges everything that comes afterwards.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from edge.capture import ItemLedger, OpenCamera
from edge.config import CameraConfig, Config, ConfigDiff
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.gpio import PinFactory
from edge.core.part import Part
from edge.core.percentiles import Latencies
from edge.inspection import Inspector
from edge.pipeline.build import build_judge
from edge.pipeline.camera_unit import CameraUnit
from edge.pipeline.decode_parity import DecodeParity
from edge.pipeline.judge import Judge
from edge.pipeline.mailbox import Mailbox
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
        parts_changed: threading.Event,
        processed_items: ItemLedger,
        open_camera: OpenCamera,
        latencies: Latencies | None = None,
        factory: PinFactory | None = None,
        timeouts: PipelineTimeouts | None = None,
    ) -> None:
        """Opens the pins of triggers; no thread runs yet. Raises EdgeInspectError when a pin cannot
        be used.

        - `cameras`, `model`: the running ones; changed here, read elsewhere.
        - `note_part`, `next_number`, `parts_changed`, `open_camera`, `factory`: see `CameraUnit`.
        - `processed_items`: the files that have a verdict.
        """
        self._config, self._model, self._clock = config, model, clock
        self._cameras, self._sink = cameras, sink
        self._latencies = latencies or Latencies()
        self._timeouts = timeouts or PipelineTimeouts()
        self._units: dict[str, CameraUnit] = {}
        self._never = StopEvent()  # never set: waiting for it is a sleep
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
        for unit in self._build_units(config.cameras, {}, model.inspector):
            self._add(unit)

    def start(self) -> None:
        """Starts the workers, then the cameras."""
        self.workers.start()
        for unit in self._units.values():
            unit.start()

    def adopt(self, old: Config, changes: ConfigDiff, inspector: Inspector) -> None:
        """Applies changes: stops and restarts the cameras that changed. Every later verdict belongs
        to the new configuration. `old`: the configuration so far.

        Raises EdgeInspectError when the new configuration cannot run; then the old one resumes.
        """
        config = changes.config
        removed = self._changed_units(changes, inspector)
        self._stop_units(removed)
        predecessors = {unit.config.id: unit for unit in removed}
        self.workers.set_limit(config.model.workers)
        started = [c for c in config.cameras if c.id in predecessors or c.id in changes.added]
        try:
            added = self._build_units(started, predecessors, inspector)
        except EdgeInspectError:
            self._restart(old, predecessors)
            raise
        parity = self._model.parity if inspector is self._model.inspector else DecodeParity()
        judges = [
            self._judge(config, self._inspector_for(worker, inspector), parity)
            for worker in self.workers.all
        ]
        switch = partial(self._switch, judges, removed, added)
        if not self.workers.run_paused(switch, self._timeouts.pause_s):
            for unit in added:
                unit.stop_accepting()
            self._restart(old, predecessors)
            seconds = self._timeouts.pause_s
            raise RefusedError(f"the model did not come to the end of a frame in {seconds:g} s")
        self._model.adopt(inspector, parity)
        self._config = config
        self.workers.start()
        for unit in added:
            unit.start()

    def stop_accepting(self) -> None:
        """Refuses all further parts; the workers answer the open ones."""
        for unit in self._units.values():
            unit.stop_accepting()

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

    def _changed_units(self, changes: ConfigDiff, inspector: Inspector) -> list[CameraUnit]:
        """The running cameras that must be stopped. A camera without its own view has the model's,
        and so changes with it."""
        before, after = self._model.inspector.input, inspector.input
        new_views = {
            camera.id
            for camera in changes.config.cameras
            if view_of(camera, before) != view_of(camera, after)
        }
        return [
            unit
            for name, unit in self._units.items()
            if name in new_views or name in changes.removed
        ]

    def _switch(
        self, judges: list[Judge], removed: list[CameraUnit], added: list[CameraUnit]
    ) -> None:
        """From the old configuration to the new one; all workers are paused."""
        for unit in removed:
            name = unit.config.id
            reason = "the configuration was changed before it was judged"
            self.workers.worker_for(name).end_parts(name, reason)
            self._drop(name)
        for worker, judge in zip(self.workers.all, judges):
            worker.adopt(judge)
        for unit in added:
            self._add(unit)

    def _stop_units(self, units: list[CameraUnit]) -> None:
        for unit in units:
            unit.stop_accepting()
        self._wait_until(
            lambda: not any(unit.tracker and unit.tracker.open for unit in units),
            self._timeouts.finish_s,
        )
        for unit in units:
            unit.stop()
        for unit in units:
            if not unit.join(self._timeouts.join_s):
                unit.reader.retire()
                log.warning("camera %s: hangs in its driver; it is left behind", unit.config.id)
        names = [unit.config.id for unit in units]
        self._wait_until(
            lambda: not any(self.workers.worker_for(n).mailbox.has_frame(n) for n in names),
            self._timeouts.finish_s,
        )

    def _new_worker(self, others: int) -> InspectionWorker:
        """A worker with its own interpreter, beside `others` workers."""
        model = self._model
        inspector = model.inspector.clone() if others else model.inspector
        judge = self._judge(self._config, inspector, model.parity)
        return InspectionWorker(Mailbox(), judge, self._sink, self._clock)

    def _inspector_for(self, worker: InspectionWorker, inspector: Inspector) -> Inspector:
        """A worker's own inspector: an interpreter is for one thread."""
        if inspector is self._model.inspector:
            return worker.judge.inspector
        return inspector if worker is self.workers.all[0] else inspector.clone()

    def _judge(self, config: Config, inspector: Inspector, parity: DecodeParity) -> Judge:
        return build_judge(
            config,
            inspector,
            self._clock,
            config.decision.deadline_ms,
            latencies=self._latencies,
            on_bad_picture=self._cameras.picture_rejected,
            parity=parity,
        )

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        until = self._clock.tick() + seconds
        while not condition() and self._clock.tick() < until:
            self._never.wait(_POLL_S)

    def _build_units(
        self,
        cameras: Sequence[CameraConfig],
        predecessors: Mapping[str, CameraUnit],
        inspector: Inspector,
    ) -> list[CameraUnit]:
        units: list[CameraUnit] = []
        try:
            for camera in cameras:
                mailbox, before = (
                    self.workers.assign(camera.id).mailbox,
                    predecessors.get(camera.id),
                )
                units.append(
                    self._new_unit(camera, mailbox, input_spec=inspector.input, predecessor=before)
                )
        except EdgeInspectError:
            for unit in units:
                unit.stop_accepting()
            raise
        return units

    def _restart(self, old: Config, stopped: Mapping[str, CameraUnit]) -> None:
        """Starts the stopped cameras again as they were."""
        cameras = [camera for camera in old.cameras if camera.id in stopped]
        for unit in self._build_units(cameras, stopped, self._model.inspector):
            self._add(unit)
            unit.start()

    def _add(self, unit: CameraUnit) -> None:
        name = unit.config.id
        self._units = {**self._units, name: unit}
        trackers = self.workers.worker_for(name).mailbox.trackers
        if unit.tracker is None:
            trackers.pop(name, None)
        else:
            trackers[name] = unit.tracker
        self._cameras.add(unit.reader, unit.tracker)

    def _drop(self, name: str) -> None:
        mailbox = self.workers.worker_for(name).mailbox
        mailbox.drop_camera(name)
        mailbox.trackers.pop(name, None)
        self.workers.unassign(name)
        self._cameras.drop(name)
        self._units = {key: unit for key, unit in self._units.items() if key != name}

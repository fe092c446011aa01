"""The pipeline: all cameras and inspection workers. It builds, changes and stops them.

A change never mixes: the old configuration finishes the frames and parts that it began, and the
new one alone judges what comes afterwards.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from edge.capture import ItemLedger, OpenCamera
from edge.config import CameraConfig, Config, ConfigDiff
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.gpio import PinFactory
from edge.core.percentiles import Latencies
from edge.inspection import Inspector, ViewCrop
from edge.pipeline.build import judge_from
from edge.pipeline.camera_unit import CameraUnit, PartJournal
from edge.pipeline.decode_parity import DecodeParity
from edge.pipeline.judge import Judge
from edge.pipeline.running_cameras import RunningCameras
from edge.pipeline.running_model import RunningModel
from edge.pipeline.view_selection import view_of
from edge.pipeline.worker import VerdictSink
from edge.pipeline.worker_pool import PoolWorker, WorkerPool

log = logging.getLogger(__name__)

_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class LineTimeouts:
    """In seconds: for a camera's thread to end, for parts that were accepted before a change to
    get their verdicts, and for a worker to finish its frame."""

    join_s: float = 5.0
    finish_s: float = 5.0
    pause_s: float = 30.0


class Pipeline:
    """Cameras deliver frames to the workers' mailboxes; workers deliver verdicts to the sink."""

    def __init__(
        self,
        config: Config,
        model: RunningModel,
        environment: Clock,
        *,
        cameras: RunningCameras,
        sink: VerdictSink,
        journal: PartJournal,
        parts_changed: threading.Event,
        receipts: ItemLedger,
        open_camera: OpenCamera,
        latencies: Latencies | None = None,
        factory: PinFactory | None = None,
        timeouts: LineTimeouts | None = None,
    ) -> None:
        """Opens the pins of triggers; nothing runs yet. Raises EdgeInspectError when a pin cannot
        be used.

        - `cameras`, `model`: what runs now; changed here, read elsewhere.
        - `open_camera`, `journal`, `parts_changed`, `factory`: as `CameraUnit` takes them.
        - `receipts`: which files have their verdict already.
        """
        self._config, self._model, self._environment = config, model, environment
        self._cameras, self._sink = cameras, sink
        self._journal, self._parts_changed = journal, parts_changed
        self._receipts, self._factory = receipts, factory
        self._open_camera = open_camera
        self._latencies = latencies or Latencies()
        self._timeouts = timeouts or LineTimeouts()
        self._sides: dict[str, CameraUnit] = {}
        self._never = StopEvent()  # waiting for it is sleeping
        self.workers = WorkerPool(config.model.workers, self._new_worker)
        for camera in config.cameras:
            self._add(self._built(camera, None, model.inspector))

    def start(self) -> None:
        """Starts the workers, and the cameras."""
        self.workers.start()
        for side in self._sides.values():
            side.start()

    def adopt(self, old: Config, changes: ConfigDiff, inspector: Inspector) -> None:
        """Applies the changes: cameras that changed are stopped and started again, and every
        verdict from then on is of the new configuration. `old` is what ran so far.

        Raises EdgeInspectError when the new configuration cannot run: then the old one goes on.
        """
        config = changes.config
        gone = self._changed_sides(changes, inspector)
        self._end(gone)
        after = {side.config.id: side for side in gone}
        self.workers.allow(config.model.workers)
        come = [c for c in config.cameras if c.id in after or c.id in changes.added]
        try:
            sides = self._built_all(come, after, inspector)
        except EdgeInspectError:
            self._put_back(old, gone)
            raise
        parity = self._model.parity if inspector is self._model.inspector else DecodeParity()
        judges = [
            self._judge(config, self._inspector_for(worker, inspector), parity)
            for worker in self.workers.all
        ]
        switch = partial(self._switch, judges, gone, sides)
        if not self.workers.between(switch, self._timeouts.pause_s):
            for side in sides:
                side.shut()
            self._put_back(old, gone)
            seconds = self._timeouts.pause_s
            raise RefusedError(f"the model did not come to the end of a frame in {seconds:g} s")
        self._model.adopt(inspector, parity)
        self._config = config
        self.workers.start()
        for side in sides:
            side.start()

    def shut(self) -> None:
        """Accepts no part any more; the workers answer the parts that are open."""
        for side in self._sides.values():
            side.shut()

    def stop(self) -> list[str]:
        """Stops the cameras, and closes the mailboxes: each worker then ends by itself. Returns
        which cameras hang."""
        sides = list(self._sides.values())
        for side in sides:
            side.stop()
        hung = [
            f"camera-{side.config.id}" for side in sides if not side.join(self._timeouts.join_s)
        ]
        self.workers.close()
        return hung

    def _changed_sides(self, changes: ConfigDiff, inspector: Inspector) -> list[CameraUnit]:
        """The running cameras that must be stopped. A camera without a view of its own has the
        model's, and so changes with it."""
        before, after = self._model.inspector.input, inspector.input
        new_views = {
            camera.id
            for camera in changes.config.cameras
            if view_of(camera, before) != view_of(camera, after)
        }
        return [
            side
            for name, side in self._sides.items()
            if name in new_views or name in changes.removed
        ]

    def _switch(self, judges: list[Judge], gone: list[CameraUnit], sides: list[CameraUnit]) -> None:
        """From the old configuration to the new one; all workers are paused."""
        for side in gone:
            name = side.config.id
            judging = self.workers.of(name).judging
            judging.retire(name, "the configuration was changed before it was judged")
            self._drop(name)
        for worker, judge in zip(self.workers.all, judges):
            worker.adopt(judge)
        for side in sides:
            self._add(side)

    def _end(self, sides: list[CameraUnit]) -> None:
        for side in sides:
            side.shut()
        self._wait_until(
            lambda: not any(side.tracker and side.tracker.open for side in sides),
            self._timeouts.finish_s,
        )
        for side in sides:
            side.stop()
        for side in sides:
            if not side.join(self._timeouts.join_s):
                side.reader.retire()
                log.warning("camera %s: hangs in its driver; it is left behind", side.config.id)
        self._wait_until(
            lambda: not any(self._waits(side.config.id) for side in sides), self._timeouts.finish_s
        )

    def _waits(self, camera: str) -> bool:
        return self.workers.of(camera).mailbox.waiting(camera)

    def _new_worker(self, others: int) -> PoolWorker:
        """A worker with an interpreter of its own, beside `others`."""
        model = self._model
        inspector = model.inspector.clone() if others else model.inspector
        judge = self._judge(self._config, inspector, model.parity)
        return PoolWorker(judge, self._sink, self._environment)

    def _inspector_for(self, worker: PoolWorker, inspector: Inspector) -> Inspector:
        """What a worker goes on with: an interpreter is for one thread."""
        if inspector is self._model.inspector:
            return worker.judge.inspector
        return inspector if worker is self.workers.all[0] else inspector.clone()

    def _judge(self, config: Config, inspector: Inspector, parity: DecodeParity) -> Judge:
        return judge_from(
            config,
            inspector,
            self._environment,
            config.decision.deadline_ms,
            latencies=self._latencies,
            on_bad_picture=self._cameras.picture_rejected,
            parity=parity,
        )

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        until = self._environment.tick() + seconds
        while not condition() and self._environment.tick() < until:
            self._never.wait(_POLL_S)

    def _built_all(
        self, cameras: list[CameraConfig], after: dict[str, CameraUnit], inspector: Inspector
    ) -> list[CameraUnit]:
        sides: list[CameraUnit] = []
        try:
            for camera in cameras:
                sides.append(self._built(camera, after.get(camera.id), inspector))
        except EdgeInspectError:
            for side in sides:
                side.shut()
            raise
        return sides

    def _built(
        self, camera: CameraConfig, after: CameraUnit | None, inspector: Inspector
    ) -> CameraUnit:
        worker = self.workers.employ(camera.id)
        verdicts = ViewCrop(view_of(camera, inspector.input)).verdicts
        # before its pins are opened: the first part may come at once
        self._cameras.verdicts_per_part[camera.id] = verdicts
        return CameraUnit(
            camera,
            worker.mailbox,
            self._environment,
            self._receipts,
            inspector.input,
            open_camera=self._open_camera,
            journal=self._journal,
            parts_changed=self._parts_changed,
            decoding=self._model,
            after=after,
            factory=self._factory,
        )

    def _put_back(self, old: Config, gone: list[CameraUnit]) -> None:
        """The cameras that were stopped start again as they were."""
        after = {side.config.id: side for side in gone}
        cameras = [camera for camera in old.cameras if camera.id in after]
        for side in self._built_all(cameras, after, self._model.inspector):
            self._add(side)
            side.start()

    def _add(self, side: CameraUnit) -> None:
        name = side.config.id
        self._sides = {**self._sides, name: side}
        trackers = self.workers.of(name).trackers
        if side.tracker is None:
            trackers.pop(name, None)
        else:
            trackers[name] = side.tracker
        self._cameras.add(side.reader, side.tracker)

    def _drop(self, name: str) -> None:
        worker = self.workers.of(name)
        worker.mailbox.forget(name)
        worker.trackers.pop(name, None)
        self.workers.release(name)
        self._cameras.drop(name)
        self._sides = {key: side for key, side in self._sides.items() if key != name}

"""The line: cameras, what lies between them, and the judge; built, changed and stopped here.

A change never mixes: what one configuration has begun to judge is finished by it, and what comes
after is judged by the next alone.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from edge.cameraside import CameraSide
from edge.capture.camera import FaultKind, Receipts
from edge.capture.reader import Reader
from edge.capture.tracker import Tracker
from edge.config import CameraConfig, Config
from edge.config.diff import Changes
from edge.environment import Environment, Stop
from edge.errors import EdgeInspectError, RefusedError
from edge.frame import Frame
from edge.inspection.framing import Framing
from edge.inspection.inspector import Inspector
from edge.modelside import judge_from
from edge.operation.judge import Judge
from edge.operation.latencies import Latencies
from edge.operation.parity import Parity
from edge.operation.viewing import view_of
from edge.operation.workers import Worker, Workers
from edge.part import Part
from edge.roster import Roster
from edge.verdict import Verdict

log = logging.getLogger(__name__)

_JOIN_S = 5.0
_FINISH_S = 5.0  # for parts that were announced before a change
_TURN_S = 30.0  # for the judge to come to the end of a frame


class Line:
    """`trackers` and `readers` are those of the cameras that are there now."""

    def __init__(
        self,
        config: Config,
        inspector: Inspector,
        environment: Environment,
        *,
        deliver: Callable[[Verdict], None],
        keep: Callable[[Frame, Verdict], None],
        receipts: Receipts,
        factory: Any = None,
    ) -> None:
        """`deliver` stores a verdict for the plant, `keep` may keep its picture. `factory` is
        gpiozero's; None: the board's. Raises EdgeInspectError when a pin cannot be used."""
        self.inspector = inspector
        self.trackers: Roster[Tracker] = Roster()
        self.readers: Roster[Reader] = Roster()
        self.latencies = Latencies()
        self.parity = Parity()
        self.on_parts: Callable[[], None] = lambda: None
        self.on_open: Callable[[Part], None] = lambda _part: None  # before anybody is answered
        self._environment, self._receipts, self._factory = environment, receipts, factory
        self._sides: dict[str, CameraSide] = {}
        self._never = Stop()  # waiting for it is sleeping
        self._config, self._deliver, self._keep = config, deliver, keep
        self.workers = Workers(config.model.workers, self._hired)
        for camera in config.cameras:
            self._add(self._built(camera, None, inspector))

    def start(self) -> None:
        """Starts the workers, and the cameras."""
        self.workers.start()
        for side in self._sides.values():
            side.start()

    def adopt(self, old: Config, changes: Changes, inspector: Inspector) -> None:
        """Takes the changes over: cameras that changed end and begin anew, every verdict from then
        on is of the new configuration. `old` is what ran so far.

        Raises EdgeInspectError when the new cannot be: then the old goes on.
        """
        config = changes.config
        # a camera without a view of its own sees as its model was trained
        turned = {
            camera.id
            for camera in config.cameras
            if view_of(camera, self.inspector.input) != view_of(camera, inspector.input)
        }
        gone = [self._sides[n] for n in self._sides if n in turned or n in changes.gone]
        self._end(gone)
        after = {side.config.id: side for side in gone}
        self.workers.allow(config.model.workers)
        come = [c for c in config.cameras if c.id in turned or c.id in changes.come]
        try:
            sides = self._built_all(come, after, inspector)
        except EdgeInspectError:
            self._put_back(old, gone)
            raise
        if inspector is not self.inspector:
            self.parity = Parity()
        judges = [
            self._judge(config, self._another(worker, inspector)) for worker in self.workers.all
        ]

        def turn() -> None:
            for name in after:
                judging = self.workers.of(name).judging
                judging.retire(name, "the configuration was changed before it was judged")
                self._drop(name)
            for worker, judge in zip(self.workers.all, judges):
                worker.adopt(judge)
            for side in sides:
                self._add(side)

        if not self.workers.between(turn, _TURN_S):
            for side in sides:
                side.shut()
            self._put_back(old, gone)
            raise RefusedError(f"the model did not come to the end of a frame in {_TURN_S:g} s")
        self.inspector, self._config = inspector, config
        self.workers.start()
        for side in sides:
            side.start()

    def verdicts_a_part(self, camera: str) -> int:
        """How many verdicts a part of a camera gets now: one, or one a region."""
        return self.judge.verdicts_a_part(camera)

    @property
    def judge(self) -> Judge:
        """One who judges now; not for use beside the threads that judge, once they have started."""
        return self.workers.all[0].judge

    def shut(self) -> None:
        """Nothing is announced any more; what is open is answered by the judge."""
        for side in self._sides.values():
            side.shut()
            if side.tracker is not None:
                side.tracker.shut()

    def stop(self) -> list[str]:
        """Ends the cameras, then lets the judge come to its end. Returns which cameras hang."""
        sides = list(self._sides.values())
        for side in sides:
            side.stop()
        hung = [f"camera-{side.config.id}" for side in sides if not side.join(_JOIN_S)]
        self.workers.close()
        return hung

    def _end(self, sides: list[CameraSide]) -> None:
        for side in sides:
            side.shut()
            if side.tracker is not None:
                side.tracker.shut()
        self._wait_until(
            lambda: not any(side.tracker and side.tracker.open for side in sides), _FINISH_S
        )
        for side in sides:
            side.stop()
        for side in sides:
            if not side.join(_JOIN_S):
                side.reader.retire()
                log.warning("camera %s: hangs in its driver; it is left behind", side.config.id)
        self._wait_until(lambda: not any(self._waits(side.config.id) for side in sides), _FINISH_S)

    def _waits(self, camera: str) -> bool:
        return self.workers.of(camera).mailbox.waiting(camera)

    def _hired(self, others: int) -> Worker:
        """A worker with an interpreter of its own, beside `others`."""
        inspector = self.inspector.twin() if others else self.inspector
        judge = self._judge(self._config, inspector)
        return Worker(judge, self._deliver, self._keep, self._environment)

    def _another(self, worker: Worker, inspector: Inspector) -> Inspector:
        """The inspector that a worker goes on with: an interpreter is for one thread."""
        if inspector is self.inspector:
            return worker.judge.inspector
        return inspector if worker is self.workers.all[0] else inspector.twin()

    def _judge(self, config: Config, inspector: Inspector) -> Judge:
        return judge_from(
            config,
            inspector,
            self._environment,
            config.decision.deadline_ms,
            latencies=self.latencies,
            on_bad_picture=self._bad_picture,
            parity=self.parity,
        )

    def _reduction(self, width: int, height: int, framing: Framing) -> int:
        """By what a camera's JPEGs are divided now; on the cameras' threads."""
        return self.inspector.reduction(width, height, framing) if self.parity.holds else 1

    def _bad_picture(self, camera: str, why: str, kind: FaultKind) -> None:
        reader = self.readers.get(camera)
        if reader is not None:
            reader.not_judged(why, kind)

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        until = self._environment.tick() + seconds
        while not condition() and self._environment.tick() < until:
            self._never.wait(0.01)

    def _built_all(
        self, cameras: list[CameraConfig], after: dict[str, CameraSide], inspector: Inspector
    ) -> list[CameraSide]:
        sides: list[CameraSide] = []
        try:
            for camera in cameras:
                sides.append(self._built(camera, after.get(camera.id), inspector))
        except EdgeInspectError:
            for side in sides:
                side.shut()
            raise
        return sides

    def _built(
        self, camera: CameraConfig, after: CameraSide | None, inspector: Inspector
    ) -> CameraSide:
        worker = self.workers.employ(camera.id)
        return CameraSide(
            camera,
            worker.mailbox,
            self._environment,
            self._receipts,
            inspector.input,
            reduction=self._reduction,
            at_once=worker.judging.at_once,
            after=after,
            factory=self._factory,
        )

    def _put_back(self, old: Config, gone: list[CameraSide]) -> None:
        """The cameras that ended begin anew as they were."""
        after = {side.config.id: side for side in gone}
        cameras = [camera for camera in old.cameras if camera.id in after]
        for side in self._built_all(cameras, after, self.inspector):
            self._add(side)
            side.start()

    def _add(self, side: CameraSide) -> None:
        name = side.config.id
        worker = self.workers.of(name)
        self._sides = {**self._sides, name: side}
        if side.tracker is not None:
            side.tracker.on_change = partial(self._parts_changed, worker, side)
            side.tracker.on_open = self._part_opened
            self.trackers.put(name, side.tracker)
            worker.trackers.put(name, side.tracker)
        else:
            self.trackers.drop(name)
            worker.trackers.drop(name)
        self.readers.put(name, side.reader)

    def _drop(self, name: str) -> None:
        worker = self.workers.of(name)
        worker.mailbox.forget(name)
        worker.trackers.drop(name)
        self.workers.release(name)
        self.trackers.drop(name)
        self.readers.drop(name)
        self._sides = {key: side for key, side in self._sides.items() if key != name}

    def _part_opened(self, part: Part) -> None:
        self.on_open(part)

    def _parts_changed(self, worker: Worker, side: CameraSide) -> None:
        if side.idle is not None and side.tracker is not None and side.tracker.open:
            side.idle.hurry()
        worker.mailbox.wake()
        self.on_parts()

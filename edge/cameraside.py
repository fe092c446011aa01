"""One camera with all that belongs to it: what reads it, and what announces its parts."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from edge.capture.camera import Receipts
from edge.capture.idle import Idle
from edge.capture.mailbox import Mailbox
from edge.capture.reader import Reader
from edge.capture.sources import OpenCamera, open_camera
from edge.capture.tracker import Tracker
from edge.config import CameraConfig
from edge.environment import Environment, Stop
from edge.frame import Frame
from edge.inspection.framing import Framing
from edge.inspection.preprocess import InputSpec
from edge.operation.triggers import Triggers
from edge.operation.viewing import disagreement, view_of
from edge.threads import NamedThread

log = logging.getLogger(__name__)


class CameraSide:
    """Comes and goes as a whole, while other cameras go on."""

    def __init__(
        self,
        config: CameraConfig,
        mailbox: Mailbox,
        environment: Environment,
        receipts: Receipts,
        recipe: InputSpec,
        *,
        reduction: Callable[[int, int, Framing], int] = lambda _width, _height, _framing: 1,
        at_once: Callable[[Frame, float], bool] = lambda _frame, _waited_s: False,
        after: "CameraSide | None" = None,
        factory: Any = None,
        open_camera: OpenCamera = open_camera,
    ) -> None:
        """Opens its pins; the camera is opened by its thread. `recipe`: how the model
        was trained to see. `reduction`: by what both sides of a JPEG of this width and
        height, seen so, may be divided now. `at_once` as `Reader` takes it. `after`: the side
        of this name that went, whose numbers go on. `factory` is gpiozero's; None: the board's.
        `open_camera` opens `config.source`.
        Raises EdgeInspectError when a pin cannot be used."""
        self.config = config
        if (why := disagreement(config, recipe)) is not None:
            log.warning("%s", why)
        looks: int = after.reader.seq if after else 0
        self._stop = Stop()
        self.tracker: Tracker | None = None
        if config.trigger.announces:
            before = after.tracker.triggered if after and after.tracker else 0
            self.tracker = Tracker(config.id, config.trigger, environment, before=before)
        framing = Framing(view_of(config, recipe))
        self.idle = None if self.tracker is None else Idle(partial(_wants, self.tracker))

        def reduced(width: int, height: int) -> int:
            # sharpness is measured, and its limit was chosen, on whole pictures
            if config.trust.min_focus is not None:
                return 1
            return reduction(width, height, framing)

        self.reader: Reader = Reader(
            config,
            lambda: open_camera(config, environment, receipts, reduced, self.idle),
            mailbox,
            environment,
            self._stop,
            misfit=framing.misfit,
            before=looks,
            at_once=at_once,
        )
        self._thread = NamedThread(f"camera-{config.id}", self.reader.run)
        trackers = {} if self.tracker is None else {config.id: self.tracker}
        self._triggers = Triggers(trackers, environment, factory)

    def start(self) -> None:
        """Reads the camera, and starts its clocks."""
        self._thread.start()
        self._triggers.start(self._stop)

    def shut(self) -> None:
        """No part is announced any more, by clock or wire; its pins are free."""
        self._triggers.close()

    def stop(self) -> None:
        """Asks the camera's thread to end. Returns at once."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Whether the camera's thread has ended, waiting up to `timeout` seconds for it."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()


def _wants(tracker: Tracker) -> bool:
    """Whether a part waits for a picture, or is to be found in one."""
    return tracker.config.kind == "presence" or tracker.open > 0

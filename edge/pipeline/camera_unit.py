"""One camera with all that belongs to it: its reader, its part tracker and its trigger sources."""

import logging
import threading
from typing import Protocol

from edge.capture import Camera, DemandGate, ItemLedger, OpenCamera
from edge.capture.reader import Reader
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.gpio import PinFactory
from edge.core.part import Part
from edge.core.threads import NamedThread
from edge.inspection import InputSpec, ViewCrop
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.trigger_sources import TriggerSources
from edge.pipeline.view_selection import disagreement, view_of

log = logging.getLogger(__name__)


class PartJournal(Protocol):
    """Remembers accepted parts beyond a crash of the process."""

    def note(self, part: Part) -> None:
        """A part was accepted."""
        ...


class ScaledDecoding(Protocol):
    """Says how far JPEGs may be reduced while they are decoded."""

    def reduction(self, width: int, height: int, framing: ViewCrop) -> int:
        """By what both sides of a JPEG of this size, in pixels, may be divided now."""
        ...


class CameraUnit:
    """Starts and stops as a whole, while other cameras go on. Listens to its own part tracker."""

    def __init__(
        self,
        config: CameraConfig,
        mailbox: Mailbox,
        environment: Clock,
        receipts: ItemLedger,
        recipe: InputSpec,
        *,
        open_camera: OpenCamera,
        journal: PartJournal,
        parts_changed: threading.Event,
        decoding: ScaledDecoding,
        after: "CameraUnit | None" = None,
        factory: PinFactory | None = None,
    ) -> None:
        """Opens its pins; its thread opens the camera. Raises EdgeInspectError when a pin cannot be
        used.

        - `recipe`: the preprocessing that the model was trained with.
        - `open_camera`: opens the source of a camera.
        - `journal`: notes each accepted part before its trigger is answered.
        - `parts_changed`: set whenever a part is accepted, refused or closed.
        - `after`: the camera of this name that was stopped; its numbers go on.
        - `factory`: gpiozero's pin factory; None: the board's.
        """
        self.config = config
        if (why := disagreement(config, recipe)) is not None:
            log.warning("%s", why)
        self._mailbox, self._environment, self._receipts = mailbox, environment, receipts
        self._open = open_camera
        self._journal, self._parts_changed, self._decoding = journal, parts_changed, decoding
        self._stop = StopEvent()
        self._framing = ViewCrop(view_of(config, recipe))
        self.tracker: PartTracker | None = None
        self._idle: DemandGate | None = None
        if config.trigger.announces:
            before = after.tracker.triggered if after and after.tracker else 0
            self.tracker = PartTracker(
                config.id, config.trigger, environment, listener=self, before=before
            )
            self._idle = DemandGate(self._wants_pictures)
        last_seq: int = after.reader.seq if after else 0
        self.reader: Reader = Reader(
            config,
            self._open_camera,
            mailbox,
            environment,
            self._stop,
            size_error=self._framing.mismatch,
            last_seq=last_seq,
        )
        self._thread = NamedThread(f"camera-{config.id}", self.reader.run)
        trackers = {} if self.tracker is None else {config.id: self.tracker}
        self._triggers = TriggerSources(trackers, environment, factory)

    def start(self) -> None:
        """Reads the camera, and starts its clocks."""
        self._thread.start()
        self._triggers.start(self._stop)

    def shut(self) -> None:
        """Accepts no part any more; gives its pins back."""
        self._triggers.close()
        if self.tracker is not None:
            self.tracker.shut()

    def stop(self) -> None:
        """Asks the camera's thread to end. Returns at once."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Whether the camera's thread has ended, waiting up to `timeout` seconds for it."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def part_opened(self, part: Part) -> None:
        """As `PartsListener`."""
        self._journal.note(part)

    def parts_changed(self) -> None:
        """As `PartsListener`. The camera may have to decode again, the worker has another deadline,
        and the output `busy` may have to change."""
        if self._idle is not None and self._wants_pictures():
            self._idle.expedite()
        self._mailbox.wake()
        self._parts_changed.set()

    def _wants_pictures(self) -> bool:
        """Whether a part waits for a picture, or is to be found in one."""
        tracker = self.tracker
        return tracker is not None and (tracker.config.kind == "presence" or tracker.open > 0)

    def _open_camera(self) -> Camera:
        return self._open(
            self.config, self._environment, self._receipts, self._reduction, self._idle
        )

    def _reduction(self, width: int, height: int) -> int:
        # sharpness is measured, and its limit was chosen, on whole pictures
        if self.config.trust.min_focus is not None:
            return 1
        return self._decoding.reduction(width, height, self._framing)

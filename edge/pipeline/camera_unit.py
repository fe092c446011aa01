"""One camera with its reader, its part tracker and its trigger source."""

import logging
import threading
from collections.abc import Callable
from functools import partial

from edge.capture import Camera, DemandGate, HandedOut, ItemLedger, OpenCamera
from edge.capture.reader import Reader
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.gpio import PinFactory
from edge.core.part import Part
from edge.core.threads import NamedThread
from edge.inspection import InputSpec, ViewCrop
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.running_state import RunningModel
from edge.pipeline.trigger_sources import trigger_source
from edge.pipeline.view_selection import disagreement, view_of

log = logging.getLogger(__name__)


class CameraUnit:
    """Starts and stops as a whole, while other cameras keep running."""

    def __init__(
        self,
        config: CameraConfig,
        mailbox: Mailbox,
        clock: Clock,
        processed_items: ItemLedger,
        input_spec: InputSpec,
        *,
        open_camera: OpenCamera,
        note_part: Callable[[Part, int], None],
        next_number: Callable[[str], int],
        parts_changed: threading.Event,
        model: RunningModel,
        predecessor: "CameraUnit | None" = None,
        factory: PinFactory | None = None,
    ) -> None:
        """Opens its pin; its thread opens the camera. Raises EdgeInspectError when a pin cannot be
        used.

        - `input_spec`: the preprocessing that the model was trained with.
        - `open_camera`: opens the source of a camera.
        - `note_part`: writes an accepted part, and the number of its verdicts, to the journal
          before the trigger is answered.
        - `next_number`: of a camera's new trigger; `parts_changed`: set with every change.
        - `model`: says how far a camera may reduce its JPEGs while it decodes them.
        - `predecessor`: the stopped camera of this name; its numbers go on.
        - `factory`: gpiozero's pin factory; None: the board's.
        """
        self.config = config
        if (why := disagreement(config, input_spec)) is not None:
            log.warning("%s", why)
        self._mailbox, self._clock, self._items = mailbox, clock, HandedOut(processed_items)
        self._open, self._parts_changed, self._model = open_camera, parts_changed, model
        self._stop = StopEvent()
        self._crop = ViewCrop(view_of(config, input_spec))
        self.tracker: PartTracker | None = None
        self._demand: DemandGate | None = None
        if config.trigger.announces:
            self.tracker = PartTracker(
                config.id,
                config.trigger,
                clock,
                on_accepted=lambda part: note_part(part, self._crop.verdicts),
                on_change=self._on_parts_changed,
                triggered_before=predecessor.triggered if predecessor else 0,
                next_number=partial(next_number, config.id),
            )
            self._demand = DemandGate(self._wants_pictures)
        self.reader: Reader = Reader(
            config,
            self._open_camera,
            mailbox,
            clock,
            self._stop,
            size_error=self._crop.mismatch,
            last_seq=predecessor.reader.seq if predecessor else 0,
        )
        self._thread = NamedThread(f"camera-{config.id}", self.reader.run)
        tracker = self.tracker
        self._source = None if tracker is None else trigger_source(tracker, clock, factory)

    @property
    def triggered(self) -> int:
        """The number of parts that were announced, also to predecessors."""
        return self.tracker.triggered if self.tracker is not None else 0

    def start(self) -> None:
        """Starts the camera's thread and its trigger source."""
        self._thread.start()
        if self._source is not None:
            self._source.start(self._stop)

    def stop_accepting(self) -> None:
        """Refuses all further parts; releases the pin."""
        if self._source is not None:
            self._source.close()
        if self.tracker is not None:
            self.tracker.stop_accepting()

    def stop(self) -> None:
        """Asks the camera's thread to end. Returns at once."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Whether the camera's thread has ended, waiting up to `timeout` seconds for it."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _on_parts_changed(self) -> None:
        """The camera may have to decode again, the worker has another deadline, and the output
        `busy` may have to change."""
        if self._demand is not None and self._wants_pictures():
            self._demand.expedite()
        self._mailbox.wake()
        self._parts_changed.set()

    def _wants_pictures(self) -> bool:
        """Whether a part waits for a picture, or is to be found in one, or the camera settles."""
        tracker = self.tracker
        return tracker is not None and (
            tracker.config.kind == "presence" or tracker.open > 0 or self.reader.settling
        )

    def _open_camera(self) -> Camera:
        return self._open(self.config, self._clock, self._items, self._reduction, self._demand)

    def _reduction(self, width: int, height: int) -> int:
        # sharpness is measured on whole pictures, and `min_focus` was chosen on them
        if self.config.trust.min_focus is not None:
            return 1
        return self._model.reduction(width, height, self._crop)

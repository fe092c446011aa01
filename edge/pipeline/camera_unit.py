"""One camera with its reader, its part tracker and its trigger source."""

import logging
import threading
from collections.abc import Callable
from functools import partial

from edge.capture import Camera, DemandGate, ItemLedger, OpenCamera, ReaderLedger
from edge.capture.reader import Reader
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError
from edge.core.gpio import PinFactory
from edge.core.jpeg import JPEGDecoding
from edge.core.part import Part
from edge.core.threads import NamedThread
from edge.inspection import InputSpec
from edge.pipeline.camera_recipes import CameraRecipes
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.recipe_pins import RecipePins
from edge.pipeline.running_state import RunningModel
from edge.pipeline.trigger_sources import trigger_source
from edge.pipeline.view_selection import disagreement

log = logging.getLogger(__name__)


class CameraUnit:
    """Starts and stops as a whole, while other cameras keep running."""

    def __init__(
        self,
        recipes: CameraRecipes,
        mailbox: Mailbox,
        clock: Clock,
        processed_items: ItemLedger,
        input_spec: InputSpec,
        *,
        open_camera: OpenCamera,
        note_part: Callable[[Part, int], None],
        next_number: Callable[[str], int],
        parts_changed: Callable[[], None],
        model: RunningModel,
        predecessor: "CameraUnit | None" = None,
        factory: PinFactory | None = None,
    ) -> None:
        """Opens nothing yet.

        - `recipes`: the camera's settings, and what its recipes change.
        - `input_spec`: the preprocessing that the model of the common part was trained with.
        - `open_camera`: opens the source of a camera.
        - `note_part`: writes an accepted part, and the number of its verdicts, to the journal
          before the trigger is answered.
        - `next_number`: of a camera's new trigger.
        - `parts_changed`: called whenever a part is accepted, refused or closed.
        - `model`: says how a camera decodes its JPEGs.
        - `predecessor`: the camera of this name that this one replaces; its numbers go on.
        - `factory`: gpiozero's pin factory; None: the board's.
        """
        config = self.config = recipes.common.config
        self.recipes = recipes
        if (why := disagreement(config, input_spec)) is not None:
            log.warning("%s", why)
        self._mailbox, self._clock, self._items = mailbox, clock, ReaderLedger(processed_items)
        self._open, self._parts_changed, self._model = open_camera, parts_changed, model
        self._go, self._stop = threading.Event(), StopEvent()
        self._predecessor = predecessor
        self._inlet = mailbox.inlet()
        self.tracker: PartTracker | None = None
        self._demand: DemandGate | None = None
        if config.trigger.announces:
            self.tracker = self._new_tracker(note_part, next_number)
            self._demand = DemandGate(self._wants_pictures)
        self.reader: Reader = Reader(
            config,
            self._open_camera,
            self._inlet,
            clock,
            self._stop,
            size_error=self._size_error,
            settings_at=recipes.at,
        )
        self._thread = NamedThread(f"camera-{config.id}", self._run)
        tracker = self.tracker
        self._source = None if tracker is None else trigger_source(tracker, clock, factory)
        self._recipe_pins = self._new_recipe_pins(factory)
        self._choosing = threading.Event()  # from the moment in which its configuration runs

    def _new_recipe_pins(self, factory: PinFactory | None) -> RecipePins | None:
        pins = self.config.recipe_pins
        if pins is None:
            return None
        known = self.recipes.by_number
        return RecipePins(
            self.config.id,
            pins,
            self.recipes.choose,
            self._clock.tick,
            factory,
            unknown=next(number for number in range(65_535, -1, -1) if number not in known),
        )

    @property
    def pins(self) -> frozenset[int]:
        """The numbers of its input pins: the trigger's and those that choose a recipe."""
        chosen = frozenset() if self._recipe_pins is None else self._recipe_pins.numbers
        pin = self.config.trigger.pin
        return chosen if pin is None else chosen | {pin}

    def prepare(self) -> None:
        """Starts the threads; they wait for `go`. Raises RuntimeError when the system has no room
        for a thread."""
        self._thread.start()
        if self._source is not None:
            self._source.start(self._go, self._stop)
        if self._recipe_pins is not None:
            self._recipe_pins.start(self._choosing)

    def open_pins(self) -> None:
        """Opens its input pins. Raises EdgeInspectError when one cannot be used."""
        if self._source is not None:
            self._source.open()
        if self._recipe_pins is not None:
            self._recipe_pins.open()

    def close_pins(self) -> None:
        """Releases the pins."""
        if self._source is not None:
            self._source.close()
        if self._recipe_pins is not None:
            self._recipe_pins.close()

    def reopen_pins(self) -> None:
        """Opens the pins again after a change that was given up; a pin that fails is logged."""
        try:
            self.open_pins()
        except EdgeInspectError as error:
            log.error("camera %s: %s; the pin does nothing until a reload", self.config.id, error)

    def take_over(self) -> None:
        """Its configuration runs from now on. Continues the numbers of its predecessor, which has
        stopped."""
        self._choosing.set()
        before, self._predecessor = self._predecessor, None
        if before is None:
            return
        self.reader.seq = before.reader.seq
        if self.tracker is not None and before.tracker is not None:
            self.tracker.triggered = before.tracker.triggered

    def go(self) -> None:
        """The camera is opened and read, and its trigger counts, from now on."""
        self._choosing.set()
        self._go.set()

    def stop_accepting(self) -> None:
        """Refuses all further parts."""
        if self.tracker is not None:
            self.tracker.stop_accepting()

    def accept_again(self) -> None:
        """Takes `stop_accepting` back."""
        if self.tracker is not None:
            self.tracker.accept_again()

    def hold(self, *, held: bool) -> None:
        """Holds back files that are not in the mailbox yet, or lets them pass again."""
        self._inlet.hold(held=held)

    def shut(self, *, shut: bool = True) -> None:
        """No frame of it reaches the mailbox any more; or they do again."""
        self._inlet.close(closed=shut)

    def stop(self) -> None:
        """Asks its threads to end. Returns at once."""
        self._stop.set()
        self._go.set()

    def join(self, timeout: float) -> bool:
        """Whether the camera's thread has ended, waiting up to `timeout` seconds for it."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._go.wait()
        self.reader.run()

    def _new_tracker(
        self, note_part: Callable[[Part, int], None], next_number: Callable[[str], int]
    ) -> PartTracker:
        recipes, name = self.recipes, self.config.id
        return PartTracker(
            name,
            self.config.trigger,
            self._clock,
            on_accepted=lambda part: note_part(part, recipes.crop(part.recipe).verdicts),
            on_change=self._on_parts_changed,
            next_number=partial(next_number, name),
            recipes=recipes,
        )

    def _on_parts_changed(self) -> None:
        """The camera may have to decode again, the worker has another deadline, and the output
        `busy` may have to change."""
        if self._demand is not None and self._wants_pictures():
            self._demand.expedite()
        self._mailbox.wake()
        self._parts_changed()

    def _wants_pictures(self) -> bool:
        """Whether a part waits for a picture, or is to be found in one, or the camera settles."""
        tracker = self.tracker
        return tracker is not None and (
            tracker.config.kind == "presence" or tracker.open > 0 or self.reader.settling
        )

    def _open_camera(self) -> Camera:
        config = self.recipes.settings(self.recipes.current())
        return self._open(config, self._clock, self._items, self._decoding, self._demand)

    def _size_error(self, width: int, height: int) -> str | None:
        return self.recipes.crop(self.recipes.current()).mismatch(width, height)

    def _decoding(self, width: int, height: int) -> JPEGDecoding:
        """By the current recipe. A frame that is judged by another one is decoded again."""
        number = self.recipes.current()
        inspector = self._model.inspector_for(number)
        return inspector.jpeg_decoding(width, height, self.recipes.crop(number))

"""The plant interface: wires and alarm, and the order in which a verdict reaches them."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from edge.config import AlarmConfig, Config
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError
from edge.core.frame import Frame
from edge.core.gpio import OutputPin, PinFactory
from edge.core.verdict import Verdict
from edge.mqtt import SnapshotSender
from edge.pipeline import PartTracker
from edge.plant.alarm import Alarm
from edge.plant.shadow import LiveParts, NoShadow
from edge.plant.signal_outputs import SignalOutputs, build_outputs
from edge.storage import ArchiveCounts, Evidence, OutboxWriter

log = logging.getLogger(__name__)

_REPORTED_S = 600.0  # how long a failed accessory is a fault in `health`


class PlantInterface:
    """The outputs and the alarm of config.yaml. A reload may replace either."""

    def __init__(
        self,
        config: Config,
        session: str,
        trackers: Mapping[str, PartTracker],
        announce: Callable[[str, bytes], None],
        clock: Clock,
        *,
        alive: Callable[[], bool],
        factory: PinFactory | None = None,
    ) -> None:
        """Opens the pins. Raises EdgeInspectError when one cannot be used.

        trackers       of the running cameras; a camera is busy while it has an open part
        announce       publishes a retained body on the topic of that name
        alive          whether all threads make progress
        factory        gpiozero's pin factory; None: the board's
        """
        self._trackers, self._clock, self._alive = trackers, clock, alive
        self._factory = factory
        self._session, self._announce = session, announce
        self._alarm_config = config.decision.alarm
        self.outputs: SignalOutputs | None = None  # None: config.yaml names no pin
        self._alarm = self._new_alarm(self._alarm_config)
        self.outputs = self.build_outputs(config)
        try:
            for pin in self.pins:
                pin.open()
        except EdgeInspectError:
            self.release()
            raise

    @property
    def pins(self) -> list[OutputPin]:
        """All output pins."""
        return [] if self.outputs is None else self.outputs.pins

    def start(self) -> None:
        """Starts the thread that drives the wires."""
        if self.outputs is not None:
            self.outputs.start()

    def wake(self) -> None:
        """A camera may have become busy or free, or the alarm has changed."""
        outputs = self.outputs
        if outputs is not None:
            outputs.wake()

    def signal(self, verdict: Verdict) -> None:
        """Starts the pulse of a verdict on its wire."""
        outputs = self.outputs
        if outputs is not None:
            outputs.start_pulse(verdict)

    def count(self, verdict: Verdict) -> None:
        """Counts a verdict for the alarm."""
        self._alarm.count(verdict)

    def release(self) -> None:
        """Sets all wires idle and releases their pins."""
        outputs, self.outputs = self.outputs, None
        if outputs is not None:
            outputs.close()

    def build_outputs(self, config: Config) -> SignalOutputs | None:
        """The outputs of a configuration, for `adopt`. Opens no pin."""
        return build_outputs(
            config,
            self._clock,
            trackers=self._trackers,
            alive=self._alive,
            alarm=lambda: self._alarm.raised,
            factory=self._factory,
        )

    def adopt(self, outputs: SignalOutputs | None, held: list[OutputPin], undo: ExitStack) -> None:
        """Replaces the outputs: releases the old pins, then opens those of `held`, which the old
        configuration may use. Raises EdgeInspectError when one cannot be used.

        undo: gets what puts the old outputs back.
        """
        old = self.outputs
        if old is not None:
            undo.callback(old.resume)
            old.suspend()
        for pin in held:
            undo.callback(pin.close)
            pin.open()
        if outputs is not None:
            undo.callback(outputs.close)
            outputs.start()
        undo.callback(setattr, self, "outputs", old)
        self.outputs = outputs

    def adopt_alarm(self, config: AlarmConfig, undo: ExitStack) -> None:
        """Counts again from zero with other limits. `undo`: as in `adopt`."""
        if config != self._alarm_config:
            undo.callback(self._alarm.announce)
            undo.callback(setattr, self, "_alarm", self._alarm)
            undo.callback(setattr, self, "_alarm_config", self._alarm_config)
            self._alarm, self._alarm_config = self._new_alarm(config), config

    def _new_alarm(self, config: AlarmConfig) -> Alarm:
        return Alarm(
            config,
            self._session,
            lambda body: self._announce("alarm", body),
            self._clock,
            lambda _raised: self.wake(),
        )


class VerdictDelivery:
    """Takes the verdicts of the inspection workers. Safe between threads.

    Only the outbox counts. The others are accessories: one that fails costs no verdict, and is a
    fault in `health`.
    """

    def __init__(
        self,
        plant: PlantInterface,
        writer: OutboxWriter,
        evidence: Evidence,
        pictures: SnapshotSender,
        tick: Callable[[], float] = time.monotonic,
        *,
        probation: Callable[[Verdict], None] = lambda _verdict: None,
        shadow: LiveParts | None = None,
    ) -> None:
        """
        tick       monotonic seconds
        probation  counts a verdict of a new model version; must not wait
        shadow     what judges along; None: nothing
        """
        self._shadow = shadow or NoShadow()
        self.accessory_failures = 0
        self._plant, self._writer = plant, writer
        self._evidence, self._pictures = evidence, pictures
        self._tick, self._probation = tick, probation
        self._last = tick()
        self._failed: dict[str, tuple[float, str]] = {}

    def idle_s(self) -> float:
        """Seconds since the last verdict, or since the start."""
        return self._tick() - self._last

    def deliver(self, verdict: Verdict) -> None:
        """Signals a verdict, stores it, and counts it for the alarm.

        The wires come before the disk: a pulse after a slow write would show the wrong part.
        """
        self._attempt("the wires", lambda: self._plant.signal(verdict))
        self._writer.submit(verdict)
        self._last = self._tick()
        self._attempt("the alarm", lambda: self._plant.count(verdict))
        self._attempt("the probation", lambda: self._probation(verdict))

    def keep(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """Offers the pictures of a verdict to the archive, the first to the broker, and all to the
        candidate that judges along; each may drop them."""
        self._attempt("the archive", lambda: self._evidence.keep(frames, verdict))
        shown = frames[0]
        self._attempt("the pictures for the broker", lambda: self._pictures.offer(shown, verdict))
        self._attempt("the shadow", lambda: self._shadow.offer(frames, verdict))

    def keeps_all_frames(self) -> bool:
        """Whether the archive or a candidate wants the pictures of all frames of a part."""
        return self._evidence.archive is not None or self._shadow.wants_all_frames

    def evidence_faults(self) -> list[str]:
        """Faults of the kept pictures, one sentence each."""
        return self._evidence.faults()

    @property
    def evidence_counts(self) -> ArchiveCounts:
        """Verdicts whose pictures were kept or skipped."""
        return self._evidence.counts

    @property
    def pin_failures(self) -> int:
        """Failed writes to the present output pins."""
        return sum(pin.failures for pin in self._plant.pins)

    def pin_faults(self) -> list[str]:
        """The output pins that failed in the last minute, one sentence each."""
        outputs = self._plant.outputs
        return [] if outputs is None else outputs.faults()

    def accessory_faults(self) -> list[str]:
        """What failed beside a verdict in the last ten minutes, one sentence each."""
        oldest = self._tick() - _REPORTED_S
        return [sentence for at, sentence in self._failed.copy().values() if at >= oldest]

    def _attempt(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # an accessory must not cost the verdict
            self.accessory_failures += 1
            log.exception("verdicts: %s failed; the verdict is stored all the same", name)
            self._failed[name] = self._tick(), f"{name} failed ({error!r:.200})"

"""The plant interface: wires and alarm, and the order in which a verdict reaches them."""

import threading
from collections.abc import Callable, Mapping

from edge.config import Config
from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.gpio import PinFactory
from edge.core.verdict import Verdict
from edge.mqtt import SnapshotSender
from edge.pipeline import PartTracker
from edge.plant.alarm import Alarm
from edge.plant.signal_outputs import SignalOutputs, open_outputs
from edge.storage import Evidence, OutboxWriter


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
        parts_changed: threading.Event,
        factory: PinFactory | None = None,
    ) -> None:
        """Opens the pins. Raises EdgeInspectError when one cannot be used.

        trackers       of the running cameras; a camera is busy while it has an open part
        announce       publishes a retained body on the topic of that name
        alive          whether all threads make progress
        parts_changed  set when a camera may have become busy or free
        factory        gpiozero's pin factory; None: the board's
        """
        self._trackers, self._clock, self._alive = trackers, clock, alive
        self._parts_changed, self._factory = parts_changed, factory
        self._session, self._announce = session, announce
        self._config = config
        self.outputs: SignalOutputs | None = None  # None: config.yaml names no pin
        self._alarm = self._new_alarm(config)
        self._open_outputs(config)

    def start(self) -> None:
        """Starts the thread that drives the wires."""
        if self.outputs is not None:
            self.outputs.start()

    def signal(self, verdict: Verdict) -> None:
        """Starts the pulse of a verdict on its wire."""
        outputs = self.outputs
        if outputs is not None:
            outputs.start_pulse(verdict)

    def count(self, verdict: Verdict) -> None:
        """Counts a verdict for the alarm."""
        self._alarm.count(verdict)

    def release(self) -> None:
        """Sets all wires idle and releases their pins; `adopt` opens them again."""
        outputs, self.outputs = self.outputs, None
        if outputs is not None:
            outputs.close()

    def adopt(self, config: Config) -> None:
        """Applies a new configuration; opens the pins after `release`.

        Raises EdgeInspectError when a pin cannot be used; then there are no wires until the next
        `adopt`.
        """
        if config.decision.alarm != self._config.decision.alarm:
            self._alarm = self._new_alarm(config)
        self._config = config
        if self.outputs is None:
            self._open_outputs(config)
            self._show_alarm(self._alarm.raised)
            self.start()

    def _new_alarm(self, config: Config) -> Alarm:
        return Alarm(
            config.decision.alarm,
            self._session,
            lambda body: self._announce("alarm", body),
            self._clock,
            self._show_alarm,
        )

    def _show_alarm(self, raised: bool) -> None:
        outputs = self.outputs
        if outputs is not None:
            outputs.set_alarm(raised=raised)

    def _open_outputs(self, config: Config) -> None:
        self.outputs = open_outputs(
            config,
            self._clock,
            trackers=self._trackers,
            alive=self._alive,
            wake=self._parts_changed,
            factory=self._factory,
        )


class VerdictDelivery:
    """Takes the verdicts of the inspection workers. Safe between threads."""

    def __init__(
        self,
        plant: PlantInterface,
        writer: OutboxWriter,
        evidence: Evidence,
        pictures: SnapshotSender,
    ) -> None:
        self._plant, self._writer = plant, writer
        self._evidence, self._pictures = evidence, pictures

    def deliver(self, verdict: Verdict) -> None:
        """Signals a verdict, stores it, and counts it for the alarm.

        The wires come before the disk: a pulse after a slow write would show the wrong part.
        """
        self._plant.signal(verdict)
        self._writer.submit(verdict)
        self._plant.count(verdict)

    def keep(self, frame: Frame, verdict: Verdict) -> None:
        """Offers the picture of a verdict to the archive and the broker; either may drop it."""
        self._evidence.keep(frame, verdict)
        self._pictures.offer(frame, verdict)

"""Verdicts as signals on wires.

Pulses show pass, fail, review and error; levels show busy and alarm; a beat shows alive. One thread
ends the pulses on time.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from edge.config import Config
from edge.core.clock import Clock
from edge.core.gpio import OutputPin, PinFactory
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.pipeline import PartTracker

log = logging.getLogger(__name__)

_BEAT_S = 0.5  # half the period of `alive`
_RETRY_S = 0.25  # after a pin that fails
_JOIN_S = 5.0


class SignalOutputs:
    """`start_pulse` and `set_alarm` may be called from any thread and return at once."""

    def __init__(
        self,
        verdict_pins: Mapping[str, Mapping[str, OutputPin]],
        pulse_s: Mapping[str, float],
        station_pins: Mapping[str, OutputPin],
        clock: Clock,
        *,
        trackers: Mapping[str, PartTracker],
        alive: Callable[[], bool],
        wake: threading.Event | None = None,
    ) -> None:
        """Takes over the pins, which are idle.

        verdict_pins  by camera, then by pass, fail, review, error and busy
        pulse_s       length of a pulse by camera, seconds
        station_pins  alarm and alive
        trackers      by camera; it is busy while a part waits for its verdict
        alive         whether all threads make progress; if not, the beat stops at its level
        wake          set when a camera may have become busy or free
        """
        self._verdict_pins, self._pulse_s = verdict_pins, pulse_s
        self._station_pins = station_pins
        self._clock, self._is_alive, self._trackers = clock, alive, trackers
        self._wake = wake or threading.Event()
        self._lock = threading.Lock()
        self._pulse_ends: dict[tuple[str, str], float] = {}  # (camera, name) → monotonic seconds
        self._closing = False
        self._thread: threading.Thread | None = None
        self._beat = False
        self._next_beat = clock.tick()

    def start_pulse(self, verdict: Verdict) -> None:
        """Starts the pulse of a verdict. `fail` shows every verdict but `pass`, unless review or
        error have a pin."""
        pins = self._verdict_pins.get(verdict.camera, {})
        name = verdict.verdict if verdict.verdict in ("pass", *pins) else "fail"
        pin = pins.get(name)
        if pin is None:
            return
        with self._lock:
            for other in ("pass", "fail", "review", "error"):  # only one answer at a time
                if (
                    other != name
                    and self._pulse_ends.pop((verdict.camera, other), None) is not None
                ):
                    pins[other].off()
            pin.on()
            end = self._clock.tick() + self._pulse_s[verdict.camera]
            self._pulse_ends[verdict.camera, name] = end
        self._wake.set()

    def set_alarm(self, *, raised: bool) -> None:
        """Sets the level of the alarm."""
        pin = self._station_pins.get("alarm")
        if pin is not None:
            _set(pin, active=raised)

    def start(self) -> None:
        """Starts the thread that ends the pulses."""
        self._thread = start_thread("outputs", self.run)

    def close(self) -> None:
        """Ends the thread, sets all pins idle and releases them."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
        else:
            self._release()

    def run(self) -> None:
        """Serves until closed."""
        while not self._closing:
            try:
                self._wake.wait(self.run_once())
                self._wake.clear()
            except Exception:  # outermost loop: a pin that fails must not stop the others
                log.exception("outputs: unexpected fault")
                threading.Event().wait(_RETRY_S)
        self._release()

    def run_once(self) -> float | None:
        """Ends the pulses that are over, and sets busy and alive.

        Returns the seconds until the next change is due; None: not before `wake` is set.
        """
        tick = self._clock.tick()
        with self._lock:
            for (camera, name), end in list(self._pulse_ends.items()):
                if tick >= end:
                    self._verdict_pins[camera][name].off()
                    del self._pulse_ends[camera, name]
            due = list(self._pulse_ends.values())
        for camera, pins in self._verdict_pins.items():
            if (busy := pins.get("busy")) is not None:
                tracker = self._trackers.get(camera)
                _set(busy, active=tracker is not None and tracker.open > 0)
        if (alive := self._station_pins.get("alive")) is not None:
            if tick >= self._next_beat:
                self._next_beat = tick + _BEAT_S
                if self._is_alive():
                    self._beat = not self._beat
                    _set(alive, active=self._beat)
            due.append(self._next_beat)
        return max(0.0, min(due) - tick) if due else None

    def _release(self) -> None:
        for pins in (*self._verdict_pins.values(), self._station_pins):
            for pin in pins.values():
                pin.close()


def open_outputs(
    config: Config,
    clock: Clock,
    *,
    trackers: Mapping[str, PartTracker],
    alive: Callable[[], bool],
    wake: threading.Event,
    factory: PinFactory | None = None,
) -> SignalOutputs | None:
    """The outputs of config.yaml, idle; None when it names no pin.

    `factory`: gpiozero's pin factory; None: the board's. The others are as in `SignalOutputs`.
    Raises EdgeInspectError when a pin cannot be used.
    """
    station = config.decision.outputs
    station_pins = {
        name: OutputPin(
            f"decision.outputs.{name}", pin, active_high=station.active_high, factory=factory
        )
        for name, pin in (("alarm", station.alarm), ("alive", station.alive))
        if pin is not None
    }
    verdict_pins = {
        camera.id: {
            name: OutputPin(
                f"cameras {camera.id}: outputs.{name}",
                pin,
                active_high=camera.outputs.active_high,
                factory=factory,
            )
            for name, pin in camera.outputs.pins.items()
        }
        for camera in config.cameras
    }
    if not station_pins and not any(verdict_pins.values()):
        return None
    pulse_s = {camera.id: camera.outputs.pulse_ms / 1000 for camera in config.cameras}
    return SignalOutputs(
        verdict_pins, pulse_s, station_pins, clock, trackers=trackers, alive=alive, wake=wake
    )


def _set(pin: OutputPin, *, active: bool) -> None:
    (pin.on if active else pin.off)()

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
_RETRY_S = 1.0  # after a pin that fails
_REPORTED_S = 60.0  # how long a failed write is a fault in `health`
_ASSERT_S = 5.0  # a raised alarm is written again at this interval
_JOIN_S = 5.0
_ANSWERS = ("pass", "fail", "review", "error")


class SignalOutputs:
    """`start_pulse` may be called from any thread; it returns at once and raises nothing. The
    levels busy and alarm follow their state: each look writes them again."""

    def __init__(
        self,
        verdict_pins: Mapping[str, Mapping[str, OutputPin]],
        pulse_s: Mapping[str, float],
        station_pins: Mapping[str, OutputPin],
        clock: Clock,
        *,
        trackers: Mapping[str, PartTracker],
        alive: Callable[[], bool],
        alarm: Callable[[], bool] = lambda: False,
    ) -> None:
        """Takes over the pins.

        verdict_pins  by camera, then by pass, fail, review, error and busy
        pulse_s       length of a pulse by camera, seconds
        station_pins  alarm and alive
        trackers      by camera; it is busy while a part waits for its verdict
        alive         whether all threads make progress; if not, the beat stops at its level
        alarm         whether the alarm is raised
        """
        self._verdict_pins, self._pulse_s = verdict_pins, pulse_s
        self._station_pins = station_pins
        self._clock, self._is_alive, self._trackers = clock, alive, trackers
        self._alarm = alarm
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._pulse_ends: dict[tuple[str, str], float] = {}  # (camera, name) → monotonic seconds
        self._failed_at: dict[OutputPin, float] = {}
        self._closing = self._suspended = False
        self._thread: threading.Thread | None = None
        self._beat = False
        self._next_beat = clock.tick()

    def faults(self) -> list[str]:
        """The pins that failed in the last minute, one sentence each."""
        oldest = self._clock.tick() - _REPORTED_S
        with self._lock:
            return [pin.last_fault for pin, at in self._failed_at.items() if at >= oldest]

    @property
    def pins(self) -> list[OutputPin]:
        """All pins."""
        groups = (*self._verdict_pins.values(), self._station_pins)
        return [pin for pins in groups for pin in pins.values()]

    def start_pulse(self, verdict: Verdict) -> None:
        """Starts the pulse of a verdict. `fail` shows every verdict but `pass`, unless review or
        error have a pin."""
        pins = self._verdict_pins.get(verdict.camera, {})
        name = verdict.verdict if verdict.verdict in ("pass", *pins) else "fail"
        pin = pins.get(name)
        if pin is None:
            return
        with self._lock:
            if self._suspended:
                return
            for other in _ANSWERS:  # only one answer at a time
                if other != name and (verdict.camera, other) in self._pulse_ends:
                    ended = self._end_pulse(verdict.camera, other)
                    if not ended and name == "pass":
                        return  # the other answer is stuck on the wire: `pass` must not join it
            # Not tried again: a late pulse would show the verdict of another part. A faulty pin is
            # opened again by the thread, so that this one never waits for it.
            if not pin.fault and self._show(pin, active=True):
                end = self._clock.tick() + self._pulse_s[verdict.camera]
                self._pulse_ends[verdict.camera, name] = end
        self._wake.set()

    def wake(self) -> None:
        """A camera may have become busy or free, or the alarm may have changed."""
        self._wake.set()

    def start(self) -> None:
        """Starts the thread that ends the pulses."""
        self._thread = start_thread("outputs", self.run)

    def suspend(self) -> None:
        """Sets all pins idle and releases them, until `resume`."""
        with self._lock:
            self._suspended = True
            self._pulse_ends.clear()
            self._release()

    def resume(self) -> None:
        """Drives the pins again. One that cannot be opened is tried again and again."""
        with self._lock:
            self._suspended = False
            for pin in self.pins:
                self._show(pin, active=False)
        self._wake.set()

    def close(self) -> None:
        """Ends the thread, sets all pins idle and releases them."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
        with self._lock:
            self._suspended = True
            self._release()

    def run(self) -> None:
        """Serves until closed."""
        while not self._closing:
            self._wake.wait(self.run_once())
            self._wake.clear()

    def run_once(self) -> float | None:
        """Ends the pulses that are over, and sets busy, alarm and alive.

        Returns the seconds until the next change is due; None: not before `wake`.
        """
        tick = self._clock.tick()
        with self._lock:
            if self._suspended:
                return None
            for (camera, name), end in list(self._pulse_ends.items()):
                if tick >= end:
                    self._end_pulse(camera, name)
            due = list(self._pulse_ends.values())
            for camera, pins in self._verdict_pins.items():
                if (busy := pins.get("busy")) is not None:
                    tracker = self._trackers.get(camera)
                    self._show(busy, active=tracker is not None and tracker.open > 0)
            if (alarm := self._station_pins.get("alarm")) is not None:
                raised = self._alarm()
                self._show(alarm, active=raised)
                due += [tick + _ASSERT_S] if raised else []
            if (alive := self._station_pins.get("alive")) is not None:
                due.append(self._show_beat(alive, tick))
            self._retry()
            due += [tick + _RETRY_S for pin in self.pins if pin.fault]
        return max(0.0, min(due) - tick) if due else None

    def _show_beat(self, alive: OutputPin, tick: float) -> float:
        """The next beat, monotonic seconds."""
        if tick >= self._next_beat:
            self._next_beat = tick + _BEAT_S
            if self._is_alive():
                self._beat = not self._beat
                self._show(alive, active=self._beat)
        return self._next_beat

    def _end_pulse(self, camera: str, name: str) -> bool:
        """Sets the pin of an answer idle. False: it failed, and is tried again."""
        if not self._show(self._verdict_pins[camera][name], active=False):
            self._pulse_ends[camera, name] = self._clock.tick() + _RETRY_S
            return False
        del self._pulse_ends[camera, name]
        return True

    def _retry(self) -> None:
        """Opens the faulty pins of answers again, idle; the levels were just written."""
        for camera, pins in self._verdict_pins.items():
            for name in _ANSWERS:
                if name in pins and pins[name].fault and (camera, name) not in self._pulse_ends:
                    self._show(pins[name], active=False)

    def _show(self, pin: OutputPin, *, active: bool) -> bool:
        done = pin.show(active=active)
        if not done:
            self._failed_at[pin] = self._clock.tick()
        return done

    def _release(self) -> None:
        for pin in self.pins:
            pin.close()


def build_outputs(
    config: Config,
    clock: Clock,
    *,
    trackers: Mapping[str, PartTracker],
    alive: Callable[[], bool],
    alarm: Callable[[], bool] = lambda: False,
    factory: PinFactory | None = None,
) -> SignalOutputs | None:
    """The outputs of config.yaml; None when it names no pin. No pin is opened yet.

    `factory`: gpiozero's pin factory; None: the board's. The others are as in `SignalOutputs`.
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
        verdict_pins,
        pulse_s,
        station_pins,
        clock,
        trackers=trackers,
        alive=alive,
        alarm=alarm,
    )

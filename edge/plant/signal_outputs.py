"""Verdicts as signals on wires: pulses for pass and fail, levels for busy and alarm, a beat for
alive. One thread ends the pulses, so that they end when they should."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from edge.core.clock import Clock
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.pipeline import PartTracker

log = logging.getLogger(__name__)

_BEAT_S = 0.5  # `alive` changes its level this often
_RETRY_S = 0.25  # after a pin that fails
_END_S = 5.0


class OutputWire(Protocol):
    """One output. It exists so that tests can listen without a Raspberry Pi."""

    def on(self) -> None:
        """The wire's active level."""
        ...

    def off(self) -> None:
        """The wire's idle level."""
        ...

    def close(self) -> None:
        """Idle, and given back."""
        ...


class SignalOutputs:
    """`note` and `alarm` may be called from any thread and return at once."""

    def __init__(
        self,
        lamps: Mapping[str, Mapping[str, OutputWire]],
        pulse_s: Mapping[str, float],
        station: Mapping[str, OutputWire],
        environment: Clock,
        *,
        trackers: Mapping[str, PartTracker],
        alive: Callable[[], bool],
        wake: threading.Event | None = None,
    ) -> None:
        """`lamps`: by camera, then pass, fail, review, error, busy. `pulse_s`: by camera, seconds.
        `station`: alarm and alive. `trackers`: by camera; it is busy while a part waits for its
        verdict. `alive` says whether there is progress: without it the beat stops, so that a PLC
        sees a hung box, whatever level it stopped at. `wake`: set by others when a camera may have
        become busy, or free."""
        self._lamps, self._pulse_s, self._station = lamps, pulse_s, station
        self._environment, self._is_alive, self._trackers = environment, alive, trackers
        self._wake = wake or threading.Event()
        self._lock = threading.Lock()
        self._ends: dict[tuple[str, str], float] = {}  # (camera, lamp) → monotonic seconds
        self._closing = False
        self._thread: threading.Thread | None = None
        self._beat = False
        self._next_beat = environment.tick()

    def note(self, verdict: Verdict) -> None:
        """Starts the pulse of a verdict. Everything that is not `pass` is told by `fail`, unless
        review or error have a wire of their own."""
        lamps = self._lamps.get(verdict.camera, {})
        name = verdict.verdict if verdict.verdict in ("pass", *lamps) else "fail"
        wire = lamps.get(name)
        if wire is None:
            return
        with self._lock:
            for other in ("pass", "fail", "review", "error"):  # one answer at a time on the wires
                if other != name and self._ends.pop((verdict.camera, other), None) is not None:
                    lamps[other].off()
            wire.on()
            end = self._environment.tick() + self._pulse_s[verdict.camera]
            self._ends[verdict.camera, name] = end
        self._wake.set()

    def alarm(self, raised: bool) -> None:
        """The alarm's level."""
        wire = self._station.get("alarm")
        if wire is not None:
            (wire.on if raised else wire.off)()

    def start(self) -> None:
        """Drives the wires in a thread of its own."""
        self._thread = start_thread("outputs", self.run)

    def close(self) -> None:
        """All wires idle, their pins given back, the thread ended."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_END_S)
        else:
            self._give_back()

    def run(self) -> None:
        """Until closed."""
        while not self._closing:
            try:
                self._wake.wait(self.run_once())
                self._wake.clear()
            except Exception:  # outermost loop: a pin that fails must not stop the others for good
                log.exception("outputs: unexpected fault")
                threading.Event().wait(_RETRY_S)
        self._give_back()

    def _give_back(self) -> None:
        for wires in (*self._lamps.values(), self._station):
            for wire in wires.values():
                wire.close()

    def run_once(self) -> float | None:
        """Ends the pulses that are over, and beats. Returns the seconds until more is due; None:
        nothing is, before `wake` is set."""
        tick = self._environment.tick()
        with self._lock:
            for (camera, name), end in list(self._ends.items()):
                if tick >= end:
                    self._lamps[camera][name].off()
                    del self._ends[camera, name]
            due = list(self._ends.values())
        for camera, lamps in self._lamps.items():
            wire = lamps.get("busy")
            if wire is not None:
                tracker = self._trackers.get(camera)
                (wire.on if tracker is not None and tracker.open else wire.off)()
        wire = self._station.get("alive")
        if wire is not None:
            if tick >= self._next_beat:
                self._next_beat = tick + _BEAT_S
                if self._is_alive():
                    self._beat = not self._beat
                    (wire.on if self._beat else wire.off)()
            due.append(self._next_beat)
        return max(0.0, min(due) - tick) if due else None

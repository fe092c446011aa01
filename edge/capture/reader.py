"""Reads one camera in a thread of its own: opens, numbers frames, notices what is not fresh and
real, and opens again with growing pauses."""

import logging
import random
import threading
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.capture.camera import Camera, Look, item_name
from edge.capture.mailbox import Mailbox
from edge.config import LIVE_KINDS, CameraConfig
from edge.environment import Environment, Stop
from edge.errors import CameraError
from edge.frame import Frame

log = logging.getLogger(__name__)

State = Literal["starting", "live", "frozen", "silent", "lost", "unfit", "finished", "stopped"]
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_ROWS = 8  # every eighth row is enough to tell two pictures of a noisy sensor apart


class Reader:
    """One camera's way into the mailbox. Public attributes are counters for `health`."""

    def __init__(
        self,
        config: CameraConfig,
        opener: Callable[[], Camera],
        mailbox: Mailbox,
        environment: Environment,
        stop: Stop,
        *,
        misfit: Callable[[int, int], str | None] = lambda _width, _height: None,
    ) -> None:
        """`misfit(width, height)`: why pictures of this size in pixels cannot be judged, asked at
        the first picture and at each change of size."""
        self.id = config.id
        self.state: State = "starting"
        self.frames = self.faults = self.frozen = self.reconnects = 0
        self.last_frame_tick: float | None = None
        self.why = ""
        self._config = config
        self._opener = opener
        self._mailbox = mailbox
        self._environment = environment
        self._stop = stop
        self._seq = 0
        self._seq_lock = threading.Lock()
        self._in_driver: float | None = None  # since when the driver has had control
        self._announced = environment.tick()
        self._before: NDArray[np.uint8] | None = None
        self._same = 0
        self._misfit = misfit
        self._size: tuple[int, int] | None = None
        self._unfit: str | None = None

    def run(self) -> None:
        """Until stop, or until a source that ends has ended."""
        pause = _FIRST_PAUSE_S
        while not self._stop.is_set():
            frames = self.frames
            try:
                self._run_once()
            except CameraError as error:
                self._lost(str(error))
            except Exception as error:  # outermost loop: drivers raise what they like
                log.exception("camera %s: unexpected fault", self.id)
                self._lost(f"unexpected fault in the camera's driver ({error!r})")
            if self.state == "finished":
                return
            if self.frames > frames:
                pause = _FIRST_PAUSE_S
            if self._stop.wait(pause * random.uniform(0.5, 1.0)):
                break
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            self.reconnects += 1
        self.state = "stopped"

    def check(self) -> None:
        """Called from outside, since a read that hangs cannot look at a clock: a live camera that
        is silent for too long is announced as a fault, and again while it stays so."""
        age = self.stuck_s()
        if age <= self._config.timeout_s:
            return
        since = self._environment.tick() - self._announced
        if self.state == "silent" and since < _LONGEST_PAUSE_S:
            return
        why = f"no frame for {age:.1f} s (timeout_s is {self._config.timeout_s:g})"
        if self.state != "silent":
            log.error("camera %s: %s; check the camera and its cable", self.id, why)
        self.state = "silent"
        self._fault(why)

    def stuck_s(self) -> float:
        """For how many seconds a live camera's driver has not given control back."""
        since = self._in_driver
        return 0.0 if since is None or not self._live else self._environment.tick() - since

    def last_frame_age_s(self) -> float | None:
        """Seconds since the last picture; None before the first."""
        last = self.last_frame_tick
        return None if last is None else self._environment.tick() - last

    @property
    def _live(self) -> bool:
        return self._config.kind in LIVE_KINDS

    def _run_once(self) -> None:
        self._in_driver = self._environment.tick()
        try:
            camera = self._opener()
        finally:
            self._in_driver = None
        self._before, self._same = None, 0
        if not self._live:
            self.state = "live"  # it delivers as soon as there is something to deliver
        try:
            while not self._stop.is_set():
                asked = self._in_driver = self._environment.tick()
                look = camera.read(self._stop)
                self._in_driver = None
                if look is None:
                    if not self._stop.is_set():
                        self.state = "finished"
                        log.info("camera %s: finished after %d frames", self.id, self.frames)
                    return
                self._take(look, waited_s=self._environment.tick() - asked)
        finally:
            self._in_driver = None
            camera.close()

    def _take(self, look: Look, waited_s: float) -> None:
        self.frames += 1
        self.last_frame_tick = self._environment.tick()
        if self.state in ("lost", "silent"):
            log.warning("camera %s: is back", self.id)
        fault = look.fault
        if fault is not None:
            self.faults += 1
            log.warning("camera %s: %s", self.id, fault)
        elif look.pixels is not None:
            fault = self._does_not_fit(look.pixels)
            if fault is None and self._live:
                fault = self._distrust(look.pixels, waited_s)
        if fault is None or not self._live:
            self.state, self.why = "live", ""
        self._hand_over(self._frame(look, fault))

    def _does_not_fit(self, pixels: NDArray[np.uint8]) -> str | None:
        """Why a picture of this size cannot be judged; worked out once a size, not a frame."""
        height, width = pixels.shape[:2]
        if self._size != (width, height):
            self._size = width, height
            self._unfit = self._misfit(width, height)
            if self._unfit is not None:
                log.error("camera %s: %s", self.id, self._unfit)
        if self._unfit is not None:
            self.faults += 1
            self.state, self.why = "unfit", self._unfit
        return self._unfit

    def _distrust(self, pixels: NDArray[np.uint8], waited_s: float) -> str | None:
        """Why a live frame must not be judged; None when it is fresh and real."""
        if self._is_frozen(pixels):
            self.frozen += 1
            fault = f"camera frozen: the same picture {self._same + 1} times in a row"
            if self.state != "frozen":
                log.error("camera %s: %s; check or restart the camera", self.id, fault)
            self.state, self.why = "frozen", fault
            return fault
        if waited_s > self._config.timeout_s:
            # It may have been taken before the silence, and lain in a buffer since.
            self.state = "live"
            return f"stale: it came after {waited_s:.1f} s of silence, so its age is not known"
        return None

    def _is_frozen(self, pixels: NDArray[np.uint8]) -> bool:
        rows = pixels[::_ROWS].copy()
        same = self._before is not None and np.array_equal(rows, self._before)
        self._before = rows
        self._same = self._same + 1 if same else 0
        return self._same + 1 >= self._config.frozen_after

    def _lost(self, why: str) -> None:
        if self.state != "lost" or why != self.why:
            log.error("camera %s: %s", self.id, why)
        self.state = "lost"
        self._fault(why)

    def _fault(self, why: str) -> None:
        self.why = why
        self.faults += 1
        self._announced = self._environment.tick()
        self._hand_over(self._frame(Look(None), item_name(why)))

    def _hand_over(self, frame: Frame) -> None:
        if self._live:
            self._mailbox.offer(frame)
        else:
            self._mailbox.put(frame, self._stop)

    def _frame(self, look: Look, fault: str | None) -> Frame:
        with self._seq_lock:
            self._seq += 1
            return Frame(
                camera=self.id,
                seq=self._seq,
                pixels=None if fault else look.pixels,
                captured_at=self._environment.now(),
                captured_tick=self._environment.tick(),
                item=look.item,
                receipt=look.receipt,
                fault=fault,
            )

"""Reads one camera in a thread of its own.

It opens the camera, numbers the frames, refuses those that are not fresh and real, and opens a
lost camera again with growing pauses. It never decodes a JPEG and never judges a part.
"""

import logging
import random
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal

from edge.capture.camera import (
    Camera,
    CameraRead,
    FaultKind,
    FrameSink,
    Pixels,
    fault_kind,
    item_name,
)
from edge.capture.quality import FrameChecks
from edge.config import DRIVEN_KINDS, LIVE_KINDS, CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from edge.core.frame import Frame
from edge.core.image import Encoded

log = logging.getLogger(__name__)

State = Literal["starting", "live", "finished", "stopped"] | FaultKind
Show = Callable[[Pixels | Encoded], None]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_MAX_TAPS = 8  # people who may wait for a frame of one camera at a time


class FrameTap:
    """Shows the next frame of one camera to people, whatever its checks say. Safe between threads.

    The frame also goes its usual way.
    """

    def __init__(self) -> None:
        self._waiting: deque[Show] = deque()
        self._lock = threading.Lock()

    def add(self, show: Show) -> bool:
        """Calls `show` once with the next frame; False when too many wait.

        `show` is called on the camera's thread and must return at once. It gets BGR uint8 pixels
        (height, width, 3), which it must not change, or a picture that is not decoded yet.
        """
        with self._lock:
            if len(self._waiting) >= _MAX_TAPS:
                return False
            self._waiting.append(show)
            return True

    def remove(self, show: Show) -> None:
        """`show` is not called any more."""
        with self._lock:
            if show in self._waiting:
                self._waiting.remove(show)

    def deliver(self, picture: Pixels | Encoded) -> None:
        """The camera has a frame."""
        if not self._waiting:  # without the lock, as nearly always: the next frame is as good
            return
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for show in waiting:
            show(picture)


class Reader:
    """Puts the frames of one camera into the mailbox. Its public attributes are for `health`."""

    def __init__(
        self,
        config: CameraConfig,
        opener: Callable[[], Camera],
        mailbox: FrameSink,
        environment: Clock,
        stop: StopEvent,
        *,
        first_pause_s: float = _FIRST_PAUSE_S,
        misfit: Callable[[int, int], str | None] = lambda _width, _height: None,
        before: int = 0,
    ) -> None:
        """`first_pause_s`: how long to wait before a lost camera is opened again. Pauses double
        from there to 30 s while it stays lost; chance cuts each to between half and all of it.
        `misfit(width, height)`: why pictures of this size in pixels cannot be judged, asked at the
        first picture and at each change of size. `before`: how many looks of this camera an earlier
        reader has numbered."""
        self.id = config.id
        self.state: State = "starting"
        self.frames = self.faults = self.reconnects = self.passed_over = 0
        self.losses: Counter[str] = Counter()
        self.last_frame_tick: float | None = None
        self.why = ""
        self.tap = FrameTap()
        self._retired = False
        self._config = config
        self._opener = opener
        self._mailbox = mailbox
        self._environment = environment
        self._stop = stop
        self._first_pause_s = first_pause_s
        self.seq = before  # number of the newest frame
        self._seq_lock = threading.Lock()
        self._in_driver: float | None = None  # monotonic seconds since the driver was called
        self._announced = environment.tick()
        self._trust = FrameChecks(config)
        self._misfit = misfit
        self._size: tuple[int, int] | None = None
        self._unfit: str | None = None

    def run(self) -> None:
        """Until stop, or until the source has ended."""
        pause = self._first_pause_s
        while not self._stop.is_set():
            frames = self.frames
            try:
                self._run_once()
            except CameraError as error:
                self._lost(str(error), fault_kind(error.kind))
            except Exception as error:  # outermost loop: drivers raise what they like
                log.exception("camera %s: unexpected fault", self.id)
                self._lost(f"unexpected fault in the camera's driver ({error!r})", "lost")
            if self.state == "finished":
                return
            if self.frames > frames:
                pause = self._first_pause_s
            if self._stop.wait(pause * random.uniform(0.5, 1.0)):
                break
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            self.reconnects += 1
        self.state = "stopped"

    def retire(self) -> None:
        """Another reader has taken this camera's place: a frame that a hung driver still returns is
        dropped."""
        self._retired = True

    def check(self) -> None:
        """Reports a live camera that is silent for too long as a fault, and repeats it every 30 s.

        The supervisor calls it: the camera's own thread may hang in the driver.
        """
        age = self._waiting_s()
        if age <= self._config.timeout_s:
            return
        since = self._environment.tick() - self._announced
        if self.state == "silent" and since < _LONGEST_PAUSE_S:
            return
        why = f"no frame for {age:.1f} s (timeout_s is {self._config.timeout_s:g})"
        if self.state != "silent":
            log.error("camera %s: %s; check the camera and its cable", self.id, why)
        self.state = "silent"
        self._fault(why, "silent")

    def stuck_s(self) -> float:
        """Seconds for which the driver of a live camera has blocked this thread. A driver in a
        process of its own never blocks it."""
        return 0.0 if self._config.kind in DRIVEN_KINDS else self._waiting_s()

    def not_judged(self, why: str, kind: FaultKind) -> None:
        """The inspection could not use a frame: it cannot be decoded, or its size does not fit."""
        self.faults += 1
        self.losses[kind] += 1
        log.warning("camera %s: %s", self.id, why)

    def last_frame_age_s(self) -> float | None:
        """Seconds since the last picture; None before the first."""
        last = self.last_frame_tick
        return None if last is None else self._environment.tick() - last

    @property
    def distrusted(self) -> dict[str, int]:
        """Number of faults of each kind."""
        return dict(self.losses + self._trust.counts)

    @property
    def frozen(self) -> int:
        """Number of frames of a frozen camera."""
        return self._trust.counts["frozen"]

    @property
    def repeated(self) -> int:
        """Number of frames that were identical to the one before, and not judged."""
        return self._trust.repeated

    @property
    def _live(self) -> bool:
        return self._config.kind in LIVE_KINDS

    def _waiting_s(self) -> float:
        since = self._in_driver
        return 0.0 if since is None or not self._live else self._environment.tick() - since

    def _run_once(self) -> None:
        self._in_driver = self._environment.tick()
        try:
            camera = self._opener()
        finally:
            self._in_driver = None
        self._trust.reopened()
        if not self._live:
            self.state = "live"  # it needs no first frame to be ready
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

    def _take(self, look: CameraRead, waited_s: float) -> None:
        self.frames += 1
        if self._config.trigger.announces:
            self.frames += look.passed_over  # no part needed them: none is missed
        else:
            self.passed_over += look.passed_over
        self.last_frame_tick = self._environment.tick()
        if (shown := look.pixels if look.encoded is None else look.encoded) is not None:
            self.tap.deliver(shown)
        if self.state in ("lost", "silent"):
            log.warning("camera %s: is back", self.id)
        fault, kind = look.fault, look.fault_kind if look.fault is not None else None
        if fault is not None:
            self.faults += 1
            self.losses[look.fault_kind] += 1
            if not self._live:  # for a live camera, _note logs each change of state
                log.warning("camera %s: %s", self.id, fault)
        elif look.pixels is not None and (fault := self._does_not_fit(look)) is not None:
            kind = "unfit"
            self.faults += 1
            self.losses[kind] += 1
        elif self._live and look.pixels is not None:
            if waited_s > self._config.timeout_s and look.captured_tick is None:
                # It may have been taken before the silence, and have waited in a buffer.
                fault = f"stale: it came after {waited_s:.1f} s of silence, its age is not known"
                kind = "stale"
                self._trust.counts[kind] += 1
            else:
                doubt = self._trust.judge(
                    look.pixels, self._age_s(look), look.reduced, look.repeats
                )
                if doubt is not None and doubt.repeated:
                    # the camera may be frozen or not; a part waits for the next frame
                    self._mailbox.note_rejected(self.id, doubt.why)
                    return
                if doubt is not None:
                    fault, kind = doubt.why, doubt.kind
        self._note(fault, kind)
        self._hand_over(self._frame(look, fault))
        if self._live and self._trust.needs_a_new_start(kind, self._environment.tick()):
            raise CameraError(f"{fault}; the camera is opened again", kind or "lost")

    def _note(self, fault: str | None, kind: FaultKind | None) -> None:
        if fault is None or not self._live:
            self.state, self.why = "live", ""
            return
        assert kind is not None
        if self.state != kind:
            log.error("camera %s: %s", self.id, fault)
        self.state, self.why = kind, fault

    def _does_not_fit(self, look: CameraRead) -> str | None:
        """Why a frame of this size cannot be judged; computed when the size changes."""
        assert look.pixels is not None
        height, width = (side * look.reduced for side in look.pixels.shape[:2])
        if self._size != (width, height):
            self._size = width, height
            self._unfit = self._misfit(width, height)
        return self._unfit

    def _age_s(self, look: CameraRead) -> float:
        taken = look.captured_tick
        return 0.0 if taken is None else self._environment.tick() - taken

    def _lost(self, why: str, kind: FaultKind) -> None:
        if self.state != kind or why != self.why:
            log.error("camera %s: %s", self.id, why)
        self.state = kind
        self._fault(why, kind)

    def _fault(self, why: str, kind: FaultKind) -> None:
        self.why = why
        self.faults += 1
        self.losses[kind] += 1
        self._announced = self._environment.tick()
        self._hand_over(self._frame(CameraRead(None), item_name(why)))

    def _hand_over(self, frame: Frame) -> None:
        if self._retired and self._live:
            return
        if self._live:
            self._mailbox.offer(frame)
        else:
            self._mailbox.put(frame, self._stop)

    def _frame(self, look: CameraRead, fault: str | None) -> Frame:
        age = self._age_s(look)
        with self._seq_lock:
            self.seq += 1
            return Frame(
                camera=self.id,
                seq=self.seq,
                pixels=None if fault else look.pixels,
                captured_at=self._environment.now() - age,
                captured_tick=self._environment.tick() - age,
                item=look.item,
                receipt=look.receipt,
                fault=fault,
                encoded=None if fault else look.encoded,
                reduced=look.reduced,
            )

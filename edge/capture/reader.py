"""Reads one camera in its own thread.

It opens the camera, numbers the frames, rejects those that are not fresh and real, and opens a
lost camera again with growing pauses. It never decodes a JPEG and never judges a part.
"""

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from edge.capture.camera import Camera, CameraRead, FaultKind, FrameSink, fault_kind, item_name
from edge.capture.frame_tap import FrameTap
from edge.capture.quality import FrameChecks, Rejection
from edge.capture.settling import Settling
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from edge.core.frame import Frame

log = logging.getLogger(__name__)

State = Literal["starting", "live", "finished", "stopped"] | FaultKind

SettingsAt = Callable[[float], tuple[int | None, CameraConfig]]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_SOURCE_S = 10.0  # for a folder to answer: a network share that is away may never do


class _SourceStop(StopEvent):
    """The stop event that a source of items gets. The time in which it waits here is idle, the
    rest is time inside the source."""

    def __init__(self, stop: StopEvent, idle: Callable[[], None], busy: Callable[[], None]) -> None:
        super().__init__()
        self._stop, self._idle, self._busy = stop, idle, busy

    def set(self) -> None:
        self._stop.set()

    def is_set(self) -> bool:
        return self._stop.is_set()

    def wait(self, seconds: float, file: int | None = None) -> bool:
        self._idle()
        try:
            return self._stop.wait(seconds, file)
        finally:
            self._busy()


class Reader:
    """Puts the frames of one camera into the mailbox.

    `health` reads the public attributes. Counters are since the start of the daemon.
    """

    def __init__(
        self,
        config: CameraConfig,
        opener: Callable[[], Camera],
        mailbox: FrameSink,
        clock: Clock,
        stop: StopEvent,
        *,
        first_pause_s: float = _FIRST_PAUSE_S,
        size_error: Callable[[int, int], str | None] = lambda _width, _height: None,
        settings_at: SettingsAt | None = None,
        last_seq: int = 0,
    ) -> None:
        """Opens nothing yet.

        first_pause_s  seconds until a lost camera is opened again for the first time
        size_error     why frames of this width and height in pixels cannot be judged; called at
                       the first frame and when the size or the recipe changes
        settings_at    the recipe at a time, monotonic seconds, and the camera's settings in it;
                       None: there are no recipes. A change of `controls` opens the camera again
        last_seq       the last frame number of the camera's previous reader
        """
        self.id = config.id
        self.state: State = "starting"
        self.frames = self.faults = self.reconnects = self.passed_over = 0
        self.why = ""
        self.seq = last_seq  # number of the newest frame
        self.tap = FrameTap()
        self._config = config
        self._live = config.live
        self._opener = opener
        self._mailbox = mailbox
        self._clock = clock
        self._stop = stop
        self._first_pause_s = first_pause_s
        self._size_error = lru_cache(maxsize=1)(size_error)
        self._settings_at: SettingsAt = settings_at or (lambda _tick: (None, config))
        self._recipe: int | None = None  # of the last frame
        self._controls = config.controls  # with which the camera was opened
        self._checks = FrameChecks(config)
        self._settling = Settling(config)
        self._losses: Counter[str] = Counter()  # faults by kind, besides those of the checks
        self._last_frame_tick: float | None = None
        self._seq_lock = threading.Lock()
        self._driver_since: float | None = None  # monotonic seconds since the driver was called
        self._last_fault_tick = clock.tick()

    def run(self) -> None:
        """Reads until stop, or until the source has ended.

        A lost camera is opened again after a pause. Pauses double up to 30 s while it stays lost;
        chance cuts each to between half and all of it.
        """
        pause = self._first_pause_s
        while not self._stop.is_set():
            frames = self.frames
            try:
                if self._run_once():
                    continue
            except CameraError as error:
                self._lost(str(error), fault_kind(error.kind))
            except Exception as error:  # outermost loop: a driver may raise anything
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

    def check(self) -> None:
        """Reports a live camera without a frame for `timeout_s` as a fault, and again every 30 s.
        Also reports a folder whose disk does not answer.

        The supervisor calls it: the camera's own thread may hang in the driver.
        """
        age = self._waiting_s()
        if not self._live:
            self._check_source(age)
            return
        if age <= self._config.timeout_s:
            return
        since = self._clock.tick() - self._last_fault_tick
        if self.state == "silent" and since < _LONGEST_PAUSE_S:
            return
        why = f"no frame for {age:.1f} s (timeout_s is {self._config.timeout_s:g})"
        if self.state != "silent":
            log.error("camera %s: %s; check the camera and its cable", self.id, why)
        self.state = "silent"
        self._report_fault(why, "silent")

    def stuck_s(self) -> float:
        """Seconds for which the driver of a live camera has blocked this thread; 0 for a driver in
        another process."""
        return self._waiting_s() if self._live and not self._config.has_driver else 0.0

    def note_unusable(self, why: str, kind: FaultKind) -> None:
        """Counts a frame that the inspection could not decode, or whose size does not fit."""
        self._count_loss(kind)
        log.warning("camera %s: %s", self.id, why)

    def last_frame_age_s(self) -> float | None:
        """Seconds since the last frame; None before the first."""
        last = self._last_frame_tick
        return None if last is None else self._clock.tick() - last

    @property
    def settling(self) -> bool:
        """Whether the camera needs pictures to settle, which are not judged."""
        return self._live and not self._settling.settled

    @property
    def distrusted(self) -> dict[str, int]:
        """Number of faults of each kind."""
        return dict(self._losses + self._checks.counts)

    @property
    def frozen(self) -> int:
        """Number of frames of a frozen camera."""
        return self._checks.counts["frozen"]

    @property
    def repeated(self) -> int:
        """Number of frames that were identical to the one before, and not judged."""
        return self._checks.repeated

    def _waiting_s(self) -> float:
        since = self._driver_since
        return 0.0 if since is None else self._clock.tick() - since

    def _check_source(self, age: float) -> None:
        """A folder on another machine may never answer. No part waits for a verdict, and only the
        camera's own thread may wait for room in the mailbox: so there is no `error` verdict."""
        if age <= _SOURCE_S or self.state == "silent":
            return
        self.why = f"no answer for {age:.1f} s from {self._config.rest}"
        self.state = "silent"
        self._count_loss("silent")
        log.error(
            "camera %s: %s; check the disk or the network share", self.id, item_name(self.why)
        )

    def _source_answers(self) -> None:
        self._driver_since = None
        if self.state == "silent":
            log.warning("camera %s: is back", self.id)
            self.state, self.why = "live", ""

    def _source_works(self) -> None:
        self._driver_since = self._clock.tick()

    def _run_once(self) -> bool:
        """One opening of the camera. True: it is to be opened again at once."""
        self._driver_since = self._clock.tick()
        self._controls = self._settings_at(self._driver_since)[1].controls
        try:
            camera = self._opener()
        finally:
            self._driver_since = None
        self._checks.reopened()
        self._settling.reopened()
        stop = self._stop
        if not self._live:
            self.state = "live"  # it needs no first frame to be ready
            stop = _SourceStop(stop, self._source_answers, self._source_works)
        try:
            while not self._stop.is_set():
                called = self._driver_since = self._clock.tick()
                read = camera.read(stop)
                self._driver_since = None
                if read is None:
                    if not self._stop.is_set():
                        self.state = "finished"
                        log.info("camera %s: finished after %d frames", self.id, self.frames)
                    return False
                if self._has_other_controls(read):
                    return True
                self._take(read, waited_s=self._clock.tick() - called)
            return False
        finally:
            self._driver_since = None
            camera.close()

    def _has_other_controls(self, read: CameraRead) -> bool:
        """Whether the recipe in which a frame was taken sets the camera otherwise than it was
        opened. The frame is not judged then."""
        number, settings = self._settings_at(self._clock.tick() - self._age_s(read))
        if settings.controls == self._controls:
            return False
        self.frames += 1
        self.state, self.why = "starting", f"is opened again with the controls of recipe {number}"
        log.info("camera %s: %s", self.id, self.why)
        self._mailbox.note_rejected(self.id, self.why)
        return True

    def _take(self, read: CameraRead, waited_s: float) -> None:
        self.frames += 1
        if self._config.trigger.announces:
            self.frames += read.passed_over  # no part needed them: none is missed
        else:
            self.passed_over += read.passed_over
        self._last_frame_tick = self._clock.tick()
        shown = read.pixels if read.encoded is None else read.encoded
        if shown is not None:
            self.tap.deliver(shown)
        if self.state in ("lost", "silent"):
            log.warning("camera %s: is back", self.id)
        rejection = self._rejection(read, waited_s)
        if rejection is not None and rejection.skipped:
            if rejection.kind == "starting":
                self.state, self.why = "starting", rejection.why
            self._mailbox.note_rejected(self.id, rejection.why)
            return
        self._set_state(rejection)
        kind, fault = (None, None) if rejection is None else (rejection.kind, rejection.why)
        self._hand_over(self._frame(read, fault))
        if self._live and self._checks.needs_reopen(kind, self._clock.tick()):
            raise CameraError(f"{fault}; the camera is opened again", kind or "lost")

    def _rejection(self, read: CameraRead, waited_s: float) -> Rejection | None:
        """Why the frame must not be judged, counted; None when it may."""
        if read.fault is not None:
            self._count_loss(read.fault_kind)
            if not self._live:  # _set_state logs each change of a live camera
                log.warning("camera %s: %s", self.id, read.fault)
            return Rejection(read.fault_kind, read.fault)
        if read.pixels is None:
            return None
        age = self._age_s(read)
        number, settings = self._settings_at(self._clock.tick() - age)
        if number != self._recipe:
            self._recipe = number
            self._size_error.cache_clear()
        if (why := self._size_error(*read.size)) is not None:
            self._count_loss("unfit")
            return Rejection("unfit", why)
        if not self._live:
            return None
        if waited_s > self._config.timeout_s and read.captured_tick is None:
            # It may have been taken before the silence, and have waited in a buffer.
            self._losses["stale"] += 1
            return Rejection(
                "stale", f"stale: it came after {waited_s:.1f} s of silence, its age is not known"
            )
        unsettled = self._settling.add(read.pixels, self._clock.tick() - age, 1 + read.passed_over)
        return self._checks.check(read, age, unsettled, settings.trust)

    def _set_state(self, rejection: Rejection | None) -> None:
        if rejection is None or not self._live:
            self.state, self.why = "live", ""
            return
        if self.state != rejection.kind:
            log.error("camera %s: %s", self.id, rejection.why)
        self.state, self.why = rejection.kind, rejection.why

    def _age_s(self, read: CameraRead) -> float:
        return 0.0 if read.captured_tick is None else self._clock.tick() - read.captured_tick

    def _lost(self, why: str, kind: FaultKind) -> None:
        if self.state != kind or why != self.why:
            log.error("camera %s: %s", self.id, why)
        self.state = kind
        self._report_fault(why, kind)

    def _report_fault(self, why: str, kind: FaultKind) -> None:
        self.why = why
        self._count_loss(kind)
        self._last_fault_tick = self._clock.tick()
        self._hand_over(self._frame(CameraRead(None), item_name(why)))

    def _count_loss(self, kind: FaultKind) -> None:
        self.faults += 1
        self._losses[kind] += 1

    def _hand_over(self, frame: Frame) -> None:
        if self._live:
            self._mailbox.offer(frame)
        else:
            self._mailbox.put(frame, self._stop)

    def _frame(self, read: CameraRead, fault: str | None) -> Frame:
        age = self._age_s(read)
        recipe, _ = self._settings_at(self._clock.tick() - age)
        with self._seq_lock:
            self.seq += 1
            return Frame(
                camera=self.id,
                seq=self.seq,
                pixels=None if fault else read.pixels,
                captured_at=self._clock.now() - age,
                captured_tick=self._clock.tick() - age,
                item=read.item,
                receipt=read.receipt,
                fault=fault,
                encoded=None if fault else read.encoded,
                reduced=read.reduced,
                recipe=recipe,
            )

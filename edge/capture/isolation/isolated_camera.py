"""A camera with its driver in a separate process, which can be killed when the driver hangs.

The daemon requests one frame at a time and names its slot in the frame ring. The process answers
with the next frame of its driver. So no frame waits in a queue between the two.
"""

import contextlib
import logging
import os
import signal
from dataclasses import replace
from typing import TypeVar

from edge.capture.camera import CameraRead, DecodingOf
from edge.capture.isolation.channel import ChannelClosed
from edge.capture.isolation.demand import DemandGate
from edge.capture.isolation.forkserver_client import DRIVERS, ForkServerClient
from edge.capture.isolation.frame_ring import FrameRing
from edge.capture.isolation.messages import (
    CameraLost,
    CameraNote,
    CameraOpened,
    ChildStarted,
    FrameFault,
    FrameReady,
    FrameRequest,
    FrameUrgent,
    MalformedMessageError,
    Message,
)
from edge.config import CameraConfig, mask_credentials
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from edge.core.image import EncodedPicture, Header
from edge.core.jpeg import WHOLE, JPEGDecoding

log = logging.getLogger(__name__)

_START_S = 30.0  # Python, NumPy and OpenCV from a slow SD card, when the fork server is new
_GRACE_S = 1.0  # for a driver to release its device in order
_END_S = 5.0  # from a closed channel to the end of the process
_REAP_S = 2.0

M = TypeVar("M", ChildStarted, CameraOpened)


class IsolatedCamera:
    """A `Camera` whose `read` ends in time, even when the driver hangs."""

    live = True

    def __init__(
        self,
        config: CameraConfig,
        clock: Clock,
        fork_server: ForkServerClient,
        driver_module: str = DRIVERS,
        *,
        decoding_of: DecodingOf = lambda _width, _height: WHOLE,
        demand: DemandGate | None = None,
        noted: set[tuple[str, str]] | None = None,
        start_s: float = _START_S,
        reap_s: float = _REAP_S,
    ) -> None:
        """Starts the process and returns at once; the first `read` waits for the camera.

        driver_module  a module with `driver_of`; tests name one whose camera misbehaves
        decoding_of    how this camera's JPEGs are decoded
        demand         says when a frame is needed; None: always
        noted          camera and text of the notes that are in the log already
        start_s        seconds that the process may take to start
        reap_s         seconds that it may take to end after SIGKILL

        Raises CameraError when no process can be started.
        """
        self._config, self._clock = config, clock
        self._name = mask_credentials(config.source)
        self._ring: FrameRing | None = None
        self._number = 0
        self._opened = self._ended = False
        self._fork_server, self._decoding_of, self._demand = fork_server, decoding_of, demand
        self._noted = set() if noted is None else noted
        self._start_s, self._reap_s = start_s, reap_s
        self._gives_jpeg = False
        self.pid = 0  # of the process that reads the camera; 0 until it has reported
        try:
            child = fork_server.start(config, driver_module)
        except OSError as error:
            raise CameraError(
                f"{self._name}: no process can be started for it ({error.strerror})"
            ) from error
        self._channel, self._memory, self._handle = child.channel, child.memory, child.handle

    def read(self, stop: StopEvent) -> CameraRead | None:
        """The driver's next frame, in shared memory, read only; None on stop.

        Raises CameraError when the process ends, loses the camera, sends a malformed message, or
        is silent for `timeout_s` (`open_timeout_s` before the first frame).
        """
        if self._ended:
            raise CameraError(f"{self._name}: is closed")
        try:
            if not self._opened and not self._open(stop):
                return None
            return self._next(stop)
        except ChannelClosed:
            raise CameraError(f"{self._name}: {self._how_it_ended()}") from None
        except CameraError:
            self._end(grace_s=0.0)
            raise

    def close(self) -> None:
        """Closes the channel, which ends the process; kills it when it hangs."""
        self._end(_GRACE_S)

    @property
    def copied(self) -> int:
        """Frames that were copied because all slots were in use, since the camera was opened."""
        return self._ring.copied if self._ring else 0

    def _open(self, stop: StopEvent) -> bool:
        """Whether the camera is open; False on stop. Raises CameraError, ChannelClosed."""
        started = self._expect(ChildStarted, stop, self._start_s, "does not start")
        if started is None:
            return False
        self.pid = started.pid
        trouble = "gives no picture (open_timeout_s)"
        opened = self._expect(CameraOpened, stop, self._config.open_timeout_s, trouble)
        if opened is None:
            return False
        self._gives_jpeg = opened.gives_jpeg
        self._ring = FrameRing(self._memory, (opened.height, opened.width, opened.channels))
        os.close(self._memory)
        self._memory = -1
        self._opened = True
        return True

    def _next(self, stop: StopEvent) -> CameraRead | None:
        ring = self._ring
        assert ring is not None
        slot = ring.lend()
        self._number += 1
        how = self._decoding_of(ring.shape[1], ring.shape[0]) if self._gives_jpeg else WHOLE
        request = FrameRequest(self._number, slot, how.reduction, how.luma)
        answer: Message | None = None
        try:
            self._send(request)
            answer = self._receive(stop, self._config.timeout_s, "no frame")
            if answer is None:
                # The process may still write into the slot: it cannot be used again.
                self._end(_GRACE_S)
        finally:
            if self._demand is not None:
                self._demand.answered()
            if not isinstance(answer, FrameReady):
                ring.give_back(slot)
        match answer:
            case None:
                return None
            case FrameReady():
                return self._frame(answer, ring, request)
            case FrameFault(number, reason, kind, passed_over) if number == self._number:
                if passed_over >= 0:
                    return CameraRead(None, fault=reason, fault_kind=kind, passed_over=passed_over)
        raise self._malformed(answer)

    def _send(self, request: FrameRequest) -> None:
        def send(message: FrameRequest | FrameUrgent) -> None:
            with contextlib.suppress(ChannelClosed):  # `_receive` finds the reason
                self._channel.send(message)

        if self._demand is None or not self._gives_jpeg:
            send(request)
            return
        interval_s = min(self._demand.idle_interval_s, self._config.timeout_s / 3)
        idle_request = replace(request, min_interval_s=interval_s)
        self._demand.request(
            lambda idle: send(idle_request if idle else request),
            lambda: send(FrameUrgent(request.number)),
        )

    def _frame(self, answer: FrameReady, ring: FrameRing, request: FrameRequest) -> CameraRead:
        """The frame in its slot. Raises CameraError when the answer does not fit the request."""
        now = self._clock.tick()
        if (
            answer.number != request.number
            or answer.passed_over < 0
            or answer.captured_tick > now + 1.0
            or answer.reduction not in (1, request.reduction)
            or answer.luma > request.luma
        ):
            raise self._malformed(answer)
        how = JPEGDecoding(answer.reduction, answer.luma)
        pixels, jpeg = ring.take(request.slot, request.number, how, answer.jpeg_bytes)
        encoded = None
        if jpeg:
            encoded = EncodedPicture(
                jpeg, self._name, Header("JPEG", ring.shape[1], ring.shape[0], 8, 3)
            )
        return CameraRead(
            pixels,
            captured_tick=min(answer.captured_tick, now),
            passed_over=answer.passed_over,
            encoded=encoded,
            reduced=answer.reduction,
            repeats=answer.repeats,
        )

    def _expect(self, kind: type[M], stop: StopEvent, limit_s: float, trouble: str) -> M | None:
        message = self._receive(stop, limit_s, trouble)
        if message is None or isinstance(message, kind):
            return message
        raise self._malformed(message)

    def _receive(self, stop: StopEvent, limit_s: float, trouble: str) -> Message | None:
        """The next message; None on stop.

        limit_s  seconds to wait for it
        trouble  the verb of the error when none comes, such as "gives no picture"

        Raises CameraError when the camera is lost, the message is malformed, or none comes. Raises
        ChannelClosed.
        """
        until = self._clock.tick() + limit_s
        while not stop.is_set():
            try:
                message = self._channel.receive(0)
            except MalformedMessageError as error:
                raise self._malformed(error) from error
            if isinstance(message, CameraLost):
                raise CameraError(message.reason, message.kind)
            if isinstance(message, CameraNote):
                self._log_once(message.text)
            elif message is not None:
                return message
            elif (left := until - self._clock.tick()) > 0:
                stop.wait(left, self._channel.fileno())
            else:
                raise CameraError(
                    f"{self._name}: {trouble} for {limit_s:g} s; its process is killed and "
                    "started again; check the camera, its cable and its power",
                    kind="silent",
                )
        return None

    def _log_once(self, text: str) -> None:
        if (key := (self._config.id, text)) not in self._noted:
            self._noted.add(key)
            log.warning("camera %s: %s; pictures are read all the same", self._config.id, text)

    def _malformed(self, message: object) -> CameraError:
        return CameraError(f"{self._name}: its process sent an invalid message ({message!s:.200})")

    def _how_it_ended(self) -> str:
        ended = self._handle.wait(_END_S)
        code, refusal = self._handle.exit_code, self._handle.refusal
        self._end(grace_s=0.0)
        if not ended:
            return "its process closed the connection"
        if refusal is not None:
            return f"no process can be started for it ({refusal})"
        if code is None:
            return "its process ended with the fork server; both are started again"
        if code < 0:
            return f"its driver crashed ({signal.Signals(-code).name}); it is started again"
        return f"its process ended with code {code}; it is started again"

    def _end(self, grace_s: float) -> None:
        """Ends the process within `grace_s` seconds, else kills it. May be called twice."""
        if self._ended:
            return
        self._ended = True
        self._channel.close()
        if not self._handle.wait(grace_s):
            self._handle.kill()
            if not self._handle.wait(self._reap_s):
                # It hangs inside the kernel; the fork server reaps it when the kernel returns.
                log.error("%s: process %d does not end; its driver hangs", self._name, self.pid)
                if not self._handle.kill_confirmed:
                    self._fork_server.replace()
        self._handle.close()
        self._ring = None  # its memory stays for the frames that are still in use
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

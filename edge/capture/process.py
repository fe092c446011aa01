"""A driven camera in a process of its own, which can be ended when its driver hangs or crashes.

The daemon asks for one picture at a time and names the slot it goes into; the child answers with
the next picture that its driver brings. So no picture ever lies in a queue between the two.
"""

import contextlib
import logging
import os
import signal

from edge.capture.camera import FAULT_KINDS, Look, Reduction, fault_kind
from edge.capture.channel import ChannelClosed, Message
from edge.capture.idle import LOOK_S, Idle
from edge.capture.leash import DRIVERS, NURSERY, Nursery
from edge.capture.ring import Ring
from edge.config import CameraConfig, mask_credentials
from edge.environment import Environment, Stop
from edge.errors import CameraError
from edge.picture import Encoded, Header

log = logging.getLogger(__name__)

_START_S = 30.0  # Python, NumPy and OpenCV from a slow SD card, when the nursery is new
_GRACE_S = 1.0  # for a driver to give its device back in order
_END_S = 5.0  # from the end of the conversation to that of the process
_REAP_S = 2.0


class ProcessCamera:
    """Behind the camera port: `read` ends in time whatever the driver does."""

    live = True

    def __init__(
        self,
        config: CameraConfig,
        environment: Environment,
        program: str = DRIVERS,
        nursery: Nursery = NURSERY,
        *,
        reduction: Reduction = lambda _width, _height: 1,
        idle: Idle | None = None,
    ) -> None:
        """Asks for the process and returns at once. `program` is a module with `driver_of`, as
        `edge.capture.drivers`: tests name one whose camera misbehaves. `reduction(width, height)`:
        by what both sides of this camera's pictures may be divided, should they come as JPEGs.
        `idle`: of a camera whose pictures are not always wanted; None: always.
        Raises CameraError when no process can be started."""
        self._config, self._environment = config, environment
        self._name = mask_credentials(config.source)
        self._ring: Ring | None = None
        self._number = 0
        self._opened = self._ended = False
        self._nursery, self._reduction, self._idle = nursery, reduction, idle
        self._gives_jpeg = False
        self.pid = 0  # of the process that reads the camera, as soon as it has said so
        try:
            started = nursery.start(config, program)
        except OSError as error:
            raise CameraError(
                f"{self._name}: no process can be started for it ({error.strerror})"
            ) from error
        self._channel, self._memory, self._leash = started.channel, started.memory, started.leash

    def read(self, stop: Stop) -> Look | None:
        """The next picture that the driver brings, in shared memory, read only.

        Raises CameraError when the process ends, says that the camera is lost, is silent for
        `timeout_s` (`open_timeout_s` until the first picture), or says what makes no sense.
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
        """Ends the process: in order when it listens, else by SIGKILL."""
        self._end(_GRACE_S)

    @property
    def copied(self) -> int:
        """How many pictures of this opening had to be copied because all slots were in use."""
        return self._ring.copied if self._ring else 0

    def _open(self, stop: Stop) -> bool:
        hello = self._receive(stop, "hello", _START_S, "does not start")
        if hello is None:
            return False
        if type(hello["hello"]) is not int:
            raise self._nonsense(hello)
        self.pid = hello["hello"]
        opened = self._receive(
            stop, "opened", self._config.open_timeout_s, "gives no picture (open_timeout_s)"
        )
        if opened is None:
            return False
        shape = opened.get("opened")
        if not isinstance(shape, list) or [type(n) for n in shape] != [int] * 3:
            raise self._nonsense(opened)
        self._gives_jpeg = opened.get("jpeg") is True
        self._ring = Ring(self._memory, (shape[0], shape[1], shape[2]))
        os.close(self._memory)
        self._memory = -1
        self._opened = True
        return True

    def _next(self, stop: Stop) -> Look | None:
        ring = self._ring
        assert ring is not None
        slot = ring.lend()
        self._number += 1
        want = {"want": slot, "number": self._number}
        if self._gives_jpeg:
            want["reduced"] = self._reduction(ring.shape[1], ring.shape[0])
        answer: Message | None = None
        try:
            self._ask(want)
            answer = self._receive(stop, "number", self._config.timeout_s, "no frame")
            if answer is None:
                # The child still owns the slot and may fill it: this conversation is over.
                self._end(_GRACE_S)
                return None
            return self._look(answer, ring, slot, want.get("reduced", 1))
        finally:
            if self._idle is not None:
                self._idle.answered()
            if answer is None or "fault" in answer:
                ring.give_back(slot)

    def _ask(self, want: Message) -> None:
        def send(message: Message) -> None:
            with contextlib.suppress(ChannelClosed):  # it may have said why: the answer is read
                self._channel.send(message)

        if self._idle is None or not self._gives_jpeg:
            send(want)
            return
        every_s = min(LOOK_S, self._config.timeout_s / 3)
        self._idle.ask(
            lambda idle: send(want | {"every_s": every_s} if idle else want),
            lambda: send({"now": want["want"], "number": want["number"]}),
        )

    def _look(self, answer: Message, ring: Ring, slot: int, wanted: int) -> Look:
        over, at, fault = answer.get("over"), answer.get("at"), answer.get("fault")
        now = self._environment.tick()
        if answer["number"] != self._number or type(over) is not int or over < 0:
            raise self._nonsense(answer)
        if fault is not None:
            kind = answer.get("kind")
            if not isinstance(fault, str) or kind not in FAULT_KINDS:
                raise self._nonsense(answer)
            return Look(None, fault=fault, fault_kind=fault_kind(kind), passed_over=over)
        if type(at) is not float or at > now + 1.0:
            raise self._nonsense(answer)
        reduced, size = answer.get("reduced"), answer.get("jpeg")
        repeats = answer.get("repeats")
        if reduced not in (1, wanted) or type(size) is not int or type(repeats) is not int:
            raise self._nonsense(answer)
        pixels, jpeg = ring.take(slot, self._number, reduced, size)
        encoded = None
        if jpeg:
            encoded = Encoded(jpeg, self._name, Header("JPEG", ring.shape[1], ring.shape[0], 8, 3))
        return Look(
            pixels,
            captured_tick=min(at, now),
            passed_over=over,
            encoded=encoded,
            reduced=reduced,
            repeats=repeats,
        )

    def _receive(self, stop: Stop, key: str, limit_s: float, failing: str) -> Message | None:
        """The answer that holds `key`; None on stop. Raises CameraError, ChannelClosed."""
        until = self._environment.tick() + limit_s
        while not stop.is_set():
            message = self._channel.receive(0)
            if message is not None:
                if isinstance(message.get("lost"), str):
                    raise CameraError(message["lost"], fault_kind(message.get("kind")))
                if key not in message:
                    raise self._nonsense(message)
                return message
            if (left := until - self._environment.tick()) > 0:
                stop.wait(left, self._channel.fileno())
            else:
                raise CameraError(
                    f"{self._name}: {failing} for {limit_s:g} s; its process is ended and started "
                    "anew; check the camera, its cable and its power",
                    kind="silent",
                )
        return None

    def _nonsense(self, message: Message) -> CameraError:
        return CameraError(f"{self._name}: its process says what makes no sense ({message!s:.200})")

    def _how_it_ended(self) -> str:
        ended = self._leash.wait(_END_S)
        code, refused = self._leash.code, self._leash.refused
        self._end(grace_s=0.0)
        if not ended:
            return "its process closed the conversation"
        if refused is not None:
            return f"no process can be started for it ({refused})"
        if code is None:
            return "its process ended with the one that it came of; it is started anew"
        if code < 0:
            return f"its driver crashed ({signal.Signals(-code).name}); it is started anew"
        return f"its process ended with code {code}; it is started anew"

    def _end(self, grace_s: float) -> None:
        if self._ended:
            return
        self._ended = True
        self._channel.close()
        if not self._leash.wait(grace_s):
            self._leash.kill()
            if not self._leash.wait(_REAP_S):
                # It hangs inside the kernel, and is reaped when the kernel lets it go.
                log.error("%s: process %d does not die; its driver hangs", self._name, self.pid)
                if not self._leash.answered:
                    self._nursery.replace()
        self._release()

    def _release(self) -> None:
        self._channel.close()
        self._leash.close()
        self._ring = None  # the memory stays as long as a picture in it is held, and no longer
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

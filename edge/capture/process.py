"""A driven camera in a process of its own, which can be ended when its driver hangs or crashes.

The daemon asks for one picture at a time and names the slot it goes into; the child answers with
the next picture that its driver brings. So no picture ever lies in a queue between the two.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys

from edge.capture.camera import FAULT_KINDS, Look, Pixels, fault_kind
from edge.capture.channel import Channel, ChannelClosed, Message
from edge.capture.ring import Ring, new_memory
from edge.config import CameraConfig, mask_credentials
from edge.environment import Environment, Stop
from edge.errors import CameraError

log = logging.getLogger(__name__)

CHILD = "edge.capture.child"
_START_S = 30.0  # Python, NumPy and OpenCV from a slow SD card
_GRACE_S = 1.0  # for a driver to give its device back in order
_END_S = 5.0  # from the end of the conversation to that of the process
_REAP_S = 2.0


class ProcessCamera:
    """Behind the camera port: `read` ends in time whatever the driver does."""

    live = True

    def __init__(
        self, config: CameraConfig, environment: Environment, program: str = CHILD
    ) -> None:
        """Starts the process and returns at once. `program` exists so that tests can start one
        whose camera misbehaves. Raises CameraError when no process can be started.

        The process ends with the thread that started it, so that thread must be the one that reads.
        """
        self._config, self._environment = config, environment
        self._name = mask_credentials(config.source)
        self._channel, theirs = Channel.pair()
        self._ring: Ring | None = None
        self._number = 0
        self._opened = self._ended = False
        self._memory = -1
        try:
            self._memory = new_memory(config.id)
            self._child = subprocess.Popen(
                [sys.executable, "-m", program, str(theirs.fileno()), str(self._memory)],
                pass_fds=(theirs.fileno(), self._memory),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal is for the daemon alone
            )
        except OSError as error:
            self._ended = True
            self._release()
            raise CameraError(
                f"{self._name}: no process can be started for it ({error.strerror})"
            ) from error
        finally:
            theirs.close()

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
    def pid(self) -> int:
        """The process that reads the camera."""
        return self._child.pid

    @property
    def copied(self) -> int:
        """How many pictures of this opening had to be copied because all slots were in use."""
        return self._ring.copied if self._ring else 0

    def _open(self, stop: Stop) -> bool:
        said = self._config.model_dump(mode="json", exclude_unset=True)
        self._channel.send({"config": said, "parent": os.getpid()})
        if self._receive(stop, "hello", _START_S, "does not start") is None:
            return False
        opened = self._receive(
            stop, "opened", self._config.open_timeout_s, "gives no picture (open_timeout_s)"
        )
        if opened is None:
            return False
        shape = opened.get("opened")
        if not isinstance(shape, list) or [type(n) for n in shape] != [int] * 3:
            raise self._nonsense(opened)
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
        answer: Message | None = None
        try:
            with contextlib.suppress(ChannelClosed):  # it may have said why, so listen
                self._channel.send({"want": slot, "number": self._number})
            answer = self._receive(stop, "number", self._config.timeout_s, "no frame")
            if answer is None:
                # The child still owns the slot and may fill it: this conversation is over.
                self._end(_GRACE_S)
                return None
            return self._look(answer, ring, slot)
        finally:
            if answer is None or "fault" in answer:
                ring.give_back(slot)

    def _look(self, answer: Message, ring: Ring, slot: int) -> Look:
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
        pixels: Pixels = ring.take(slot, self._number)
        return Look(pixels, captured_tick=min(at, now), passed_over=over)

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
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._child.wait(_END_S)
        self._end(grace_s=0.0)
        if code is None:
            return "its process closed the conversation"
        if code < 0:
            return f"its driver crashed ({signal.Signals(-code).name}); it is started anew"
        return f"its process ended with code {code}; it is started anew"

    def _end(self, grace_s: float) -> None:
        if self._ended:
            return
        self._ended = True
        self._channel.close()
        if grace_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(grace_s)
        if self._child.poll() is None:
            self._child.kill()
            try:
                self._child.wait(_REAP_S)
            except subprocess.TimeoutExpired:
                # It hangs inside the kernel; Python reaps it when the kernel lets it go.
                log.error("%s: process %d does not die; its driver hangs", self._name, self.pid)
        self._release()

    def _release(self) -> None:
        self._channel.close()
        self._ring = None  # the memory stays as long as a picture in it is held, and no longer
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

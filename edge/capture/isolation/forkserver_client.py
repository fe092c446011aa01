"""The daemon's side of the fork server: starts it, and requests camera processes from it.

A daemon has one client. It is built first, before the daemon has threads.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edge.capture.isolation.channel import Channel, ChannelClosed
from edge.capture.isolation.frame_ring import new_memory
from edge.capture.isolation.messages import (
    ChildEnded,
    ChildRefused,
    KillChild,
    MalformedMessageError,
    OpenDevice,
    StartChild,
)
from edge.config import CameraConfig

if TYPE_CHECKING:
    import subprocess

log = logging.getLogger(__name__)

DRIVERS = "edge.capture.drivers.registry"
_MODULE = "edge.capture.isolation.forkserver"
_REAP_S = 2.0
_POLL_S = 0.01


class ChildHandle:
    """One child of the fork server: kills it, and reports how it ended."""

    def __init__(self, channel: Channel) -> None:
        """The handle owns the channel."""
        self._channel = channel
        self.ended = False
        self.exit_code: int | None = None  # None: the child ended with the fork server
        self.refusal: str | None = None  # why the child was never forked
        self.kill_confirmed = True  # whether the fork server has answered the last `kill`

    def wait(self, timeout_s: float) -> bool:
        """Whether the child has ended and was reaped, after at most `timeout_s` seconds."""
        try:
            while not self.ended:
                message = self._channel.receive(timeout_s)
                if message is None:
                    return False
                self.kill_confirmed = True
                match message:
                    case ChildEnded(exit_code):
                        self.ended, self.exit_code = True, exit_code
                    case ChildRefused(reason):
                        self.ended, self.refusal = True, reason
        except (ChannelClosed, MalformedMessageError):  # the fork server has ended
            self.ended = self.kill_confirmed = True
        return True

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.kill_confirmed = False
        with contextlib.suppress(ChannelClosed):  # the child has ended
            self._channel.send(KillChild())

    def close(self) -> None:
        """Kills the child if it still runs. May be called twice."""
        self._channel.close()


@dataclass(frozen=True, slots=True)
class StartedChild:
    """A requested child. The caller closes all three.

    channel  to the camera process
    memory   file descriptor of the frame ring, which has no size yet
    handle   to the fork server, for this child
    """

    channel: Channel
    memory: int
    handle: ChildHandle

    def close(self) -> None:
        """Ends the child."""
        self.channel.close()
        self.handle.close()
        os.close(self.memory)


class ForkServerClient:
    """Starts one fork server, when the first child is needed. Safe between threads.

    A context manager: closes at the end of a `with` block.
    """

    def __init__(self) -> None:
        """Starts nothing."""
        self._lock = threading.Lock()
        self._control: Channel | None = None
        self._pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._early: dict[str, tuple[CameraConfig, str, StartedChild]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the fork server; 0 when it does not run."""
        return self._pid

    def prepare(self, cameras: Iterable[CameraConfig], driver_module: str = DRIVERS) -> None:
        """Opens the driven cameras while the daemon still starts.

        Call it before the daemon has threads: then the fork server is forked from the daemon and
        shares its imports. Does nothing without a driven camera. Raises OSError.
        """
        driven = [camera for camera in cameras if camera.has_driver]
        if not driven:
            return
        import cv2  # noqa: F401  imported before the fork: daemon and drivers share its pages

        with self._lock:
            # A lock that another thread holds at the fork would stay locked in the fork server.
            if self._control is None and _thread_count() == 1:
                self._fork()
        for camera in driven:
            self._early[camera.id] = camera, driver_module, self._start(camera, driver_module)

    def start(self, config: CameraConfig, driver_module: str) -> StartedChild:
        """A process that opens the camera by the `driver_of` of `driver_module`.

        Returns the process of `prepare` if its arguments were the same. Raises OSError.
        """
        early = self._early.pop(config.id, None)
        if early is not None:
            if early[:2] == (config, driver_module):
                return early[2]
            early[2].close()
        return self._start(config, driver_module)

    def replace(self) -> None:
        """Kills a fork server that does not answer, with all its children.

        The next `start` starts a new one.
        """
        with self._lock:
            self._end(0.0)

    def close(self) -> None:
        """Ends the fork server and all its children."""
        for *_, child in self._early.values():
            child.close()
        self._early.clear()
        with self._lock:
            self._end(_REAP_S)

    def _start(self, config: CameraConfig, driver_module: str) -> StartedChild:
        channel, child_end = Channel.pair()
        handle, server_end = Channel.pair()
        memory = -1
        try:
            memory = new_memory(config.id)
            fds = [child_end.fileno(), memory, server_end.fileno()]
            self._send(StartChild(driver_module, config.kind), fds)
        except OSError:
            channel.close()
            handle.close()
            if memory >= 0:
                os.close(memory)
            raise
        finally:
            child_end.close()
            server_end.close()
        with contextlib.suppress(ChannelClosed):  # the handle reports how the child ended
            channel.send(OpenDevice(config.to_dict(brief=True)))
        return StartedChild(channel, memory, ChildHandle(handle))

    def _send(self, message: StartChild, fds: list[int]) -> None:
        """Sends to the fork server; starts one when none runs. Raises OSError."""
        with self._lock:
            try:
                if self._control is not None:
                    self._control.send(message, fds)
                    return
            except ChannelClosed:
                log.error("the fork server of the cameras has ended; a new one starts")
                self._end(0.0)
            self._spawn()
            assert self._control is not None
            try:
                self._control.send(message, fds)
            except ChannelClosed as error:
                raise OSError(0, "the fork server has ended") from error

    def _fork(self) -> None:
        from edge.capture.isolation.forkserver import serve

        parent = os.getpid()
        control, server_end = Channel.pair()
        gc.freeze()  # neither garbage collector writes to the shared pages
        pid = os.fork()
        if pid == 0:
            try:
                control.close()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.setsid()  # Ctrl-C in a terminal must only reach the daemon
                serve(server_end, parent)
            finally:
                os._exit(1)  # the daemon's own code must not run here
        server_end.close()
        self._control, self._pid, self._process = control, pid, None

    def _spawn(self) -> None:
        """Starts a fork server in a new Python: a daemon with threads cannot be forked."""
        import subprocess

        control, server_end = Channel.pair()
        with server_end:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(server_end.fileno())],
                pass_fds=(server_end.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control, self._pid = control, self._process.pid

    def _end(self, grace_s: float) -> None:
        """Ends and reaps the fork server; its children end with it."""
        control, self._control = self._control, None
        if control is None:
            return
        control.close()
        until = time.monotonic() + grace_s
        while (reaped := self._reap()) is False and time.monotonic() < until:
            time.sleep(_POLL_S)
        if not reaped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            until = time.monotonic() + _REAP_S
            while not self._reap() and time.monotonic() < until:
                time.sleep(_POLL_S)
        self._pid = 0

    def _reap(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True


def _thread_count() -> int:
    return len(list(Path("/proc/self/task").iterdir()))

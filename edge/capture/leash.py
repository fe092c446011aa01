"""The daemon's side of the nursery: it is there when a camera needs a process, and each process is
held on a leash."""

import atexit
import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.capture.channel import Channel, ChannelClosed
from edge.capture.ring import new_memory
from edge.config import DRIVEN_KINDS, CameraConfig

log = logging.getLogger(__name__)

DRIVERS = "edge.capture.drivers"
_MODULE = "edge.capture.nursery"
_REAP_S = 2.0
_LOOK_S = 0.01


class Leash:
    """Holds one process: ends it, and hears how it ended."""

    def __init__(self, channel: Channel) -> None:
        """Takes the channel over."""
        self._channel = channel
        self.ended = False
        self.code: int | None = None  # how it ended; None: its nursery went, and it with that
        self.refused: str | None = None  # why there never was a process
        self.answered = True  # whether the nursery has heard the last `kill`

    def wait(self, timeout_s: float) -> bool:
        """Whether the process has ended, after at most `timeout_s` seconds; None of its own is left
        then, not even its number."""
        try:
            while not self.ended:
                message = self._channel.receive(timeout_s)
                if message is None:
                    return False
                self.answered = True
                if "ended" in message:
                    self.ended, self.code = True, int(message["ended"])
                elif "refused" in message:
                    self.ended, self.refused = True, str(message["refused"])
        except ChannelClosed:
            self.ended = self.answered = True
        return True

    def kill(self) -> None:
        """SIGKILL."""
        self.answered = False
        with contextlib.suppress(ChannelClosed):  # it has ended
            self._channel.send({"kill": True})

    def close(self) -> None:
        """Lets go: a process that is still there is killed. May be called twice."""
        self._channel.close()


@dataclass(frozen=True, slots=True)
class Started:
    """A process that was asked for: the conversation with it, the memory for pictures, which
    whoever takes this over closes, and the leash."""

    channel: Channel
    memory: int
    leash: Leash


class Nursery:
    """At most one nursery process at a time. Safe between threads."""

    def __init__(self) -> None:
        """Starts nothing."""
        self._lock = threading.Lock()
        self._control: Channel | None = None
        self._pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._early: dict[str, tuple[CameraConfig, str, Started]] = {}

    @property
    def pid(self) -> int:
        """Of the nursery process; 0 when there is none."""
        return self._pid

    def prepare(self, cameras: Iterable[CameraConfig], program: str = DRIVERS) -> None:
        """To be called before the daemon has threads: forks the nursery, so that it shares what
        both have imported, and begins to open the cameras that have a driver, while the daemon goes
        on starting. Does nothing when no camera has one. Raises OSError."""
        driven = [camera for camera in cameras if camera.kind in DRIVEN_KINDS]
        if not driven:
            return
        import cv2  # noqa: F401  the daemon and most drivers need it: imported here, it is shared

        with self._lock:
            # with other threads a lock may be held that nobody in the fork would give back
            if self._control is None and _threads() == 1:
                self._fork()
        for camera in driven:
            self._early[camera.id] = camera, program, self._start(camera, program)

    def start(self, config: CameraConfig, program: str) -> Started:
        """A process that opens the camera by `program`, a module with `driver_of`; it may have been
        asked for by `prepare`. Raises OSError when there can be none."""
        early = self._early.pop(config.id, None)
        if early is not None:
            if early[:2] == (config, program):
                return early[2]
            _let_go(early[2])
        return self._start(config, program)

    def replace(self) -> None:
        """The nursery does not answer: it is ended, and with it all its processes. The next that is
        asked for comes of a new one."""
        with self._lock:
            self._end(0.0)

    def close(self) -> None:
        """Ends the nursery and every process that came of it."""
        for *_, started in self._early.values():
            _let_go(started)
        self._early.clear()
        with self._lock:
            self._end(_REAP_S)

    def _start(self, config: CameraConfig, program: str) -> Started:
        ours, theirs = Channel.pair()
        held, leash = Channel.pair()
        memory = -1
        try:
            memory = new_memory(config.id)
            fds = [theirs.fileno(), memory, leash.fileno()]
            self._ask({"program": program, "kind": config.kind}, fds)
        except OSError:
            ours.close()
            held.close()
            if memory >= 0:
                os.close(memory)
            raise
        finally:
            theirs.close()
            leash.close()
        started = Started(ours, memory, Leash(held))
        said = config.to_dict(brief=True)
        with contextlib.suppress(ChannelClosed):  # whoever reads hears how it ended
            started.channel.send({"config": said})
        return started

    def _ask(self, message: dict[str, str], fds: list[int]) -> None:
        with self._lock:
            try:
                if self._control is not None:
                    self._control.send(message, fds)
                    return
            except ChannelClosed:  # it has died
                log.error(
                    "the process from which those of the cameras come has ended; a new one starts"
                )
                self._end(0.0)
            self._spawn()
            assert self._control is not None
            try:
                self._control.send(message, fds)
            except ChannelClosed as error:
                raise OSError(0, "the process that starts them has ended") from error

    def _fork(self) -> None:
        from edge.capture.nursery import serve

        parent = os.getpid()
        control, theirs = Channel.pair()
        gc.freeze()  # neither side's collector writes into what both share
        pid = os.fork()
        if pid == 0:
            try:
                control.close()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.setsid()  # Ctrl-C in a terminal is for the daemon alone
                serve(theirs, parent)
            finally:
                os._exit(1)  # the rest of the daemon's program is not for this process
        theirs.close()
        self._control, self._pid, self._process = control, pid, None

    def _spawn(self) -> None:
        """A nursery of a new Python: threads forbid a fork by now."""
        control, theirs = Channel.pair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control, self._pid = control, self._process.pid

    def _end(self, grace_s: float) -> None:
        """Ends and reaps the nursery; its processes end with it."""
        control, self._control = self._control, None
        if control is None:
            return
        control.close()
        until = time.monotonic() + grace_s
        while (gone := self._reaped()) is False and time.monotonic() < until:
            time.sleep(_LOOK_S)
        if not gone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            until = time.monotonic() + _REAP_S
            while not self._reaped() and time.monotonic() < until:
                time.sleep(_LOOK_S)
        self._pid = 0

    def _reaped(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True


def _let_go(started: Started) -> None:
    started.channel.close()
    started.leash.close()
    os.close(started.memory)


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


NURSERY = Nursery()  # of this process, as its children are
atexit.register(NURSERY.close)

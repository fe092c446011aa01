"""The process from which those of the cameras are forked: small, with a single thread, with all
that their drivers need imported once. No thread of the daemon's and no camera lives here.

For each camera it holds one end of a leash: it ends the process when the daemon says so or lets go,
and says how it ended. It ends with the daemon, and all of them with it.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from edge.capture.camera import DrivenCamera
from edge.capture.channel import Channel, ChannelClosed
from edge.capture.child import main
from edge.capture.prctl import die_with_parent, set_process_name
from edge.config import CameraConfig

_MOST_FDS = 3


def serve(control: socket.socket, parent: int | None) -> NoReturn:
    """The whole life of the process, which must have no other thread. `parent`: whose death ends it
    at once; None: only the end of `control` does."""
    code = 1
    try:
        if parent is not None:
            die_with_parent(parent)
        _Nursery(control).run()
        code = 0
    except BaseException:  # noqa: BLE001  outermost loop of this process
        traceback.print_exc()
    finally:
        os._exit(code)  # what the daemon has registered for its own end is not ours


class _Nursery:
    """`run` lasts until the daemon goes."""

    def __init__(self, control: socket.socket) -> None:
        set_process_name("nursery")
        gc.enable()  # a daemon that starts has it off
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # stopping is the daemon's
        self._control = Channel(control)
        self._leashes: dict[int, Channel] = {}
        self._died, self._told = socket.socketpair()
        for end in (self._died, self._told):
            end.setblocking(False)
        signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._poll = select.poll()
        self._poll.register(self._control.fileno(), select.POLLIN)
        self._poll.register(self._died, select.POLLIN)

    def run(self) -> None:
        """Until the daemon goes: then every process is ended, and reaped."""
        with contextlib.suppress(ChannelClosed):
            while True:
                for fd, _ in self._poll.poll():
                    if fd == self._control.fileno():
                        self._begin()
                    elif fd == self._died.fileno():
                        self._reap()
                    else:
                        self._hear(fd)
        for pid in self._leashes:
            os.kill(pid, signal.SIGKILL)
        for pid in self._leashes:
            os.waitpid(pid, 0)

    def _begin(self) -> None:
        message, fds = self._control.receive_with(_MOST_FDS)
        if len(fds) != _MOST_FDS:
            return  # the daemon could not hand them over; it hears that they are closed
        theirs, memory, ours = fds
        leash = Channel(socket.socket(fileno=ours))
        try:
            opener = importlib.import_module(str(message["program"])).driver_of(message["kind"])
            CameraConfig.model_rebuild()  # once here, not in each camera's process
            gc.freeze()  # what is shared by now is never looked through again, so stays shared
            me, child = os.getpid(), os.fork()
        except Exception as error:  # noqa: BLE001  whatever an import brings: the camera says it
            self._tell(leash, {"refused": str(error)})
            leash.close()
        else:
            if child == 0:
                self._become(leash, me, theirs, memory, opener)
            self._leashes[child] = leash
            self._poll.register(ours, select.POLLIN)
        os.close(theirs)
        os.close(memory)

    def _become(
        self,
        leash: Channel,
        parent: int,
        theirs: int,
        memory: int,
        opener: Callable[[CameraConfig], DrivenCamera],
    ) -> NoReturn:
        """In the new process: nothing of the nursery's stays open."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            for channel in (leash, self._control, *self._leashes.values()):
                channel.close()
            self._died.close()
            self._told.close()
            os.setsid()
            die_with_parent(parent)
            main(theirs, memory, opener)
            code = 0
        except BaseException:  # noqa: BLE001  outermost in this process
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _hear(self, fd: int) -> None:
        """The daemon wants the process ended, or does not want it any more."""
        pid = next((p for p, leash in self._leashes.items() if leash.fileno() == fd), None)
        if pid is None:
            return  # it has ended meanwhile
        leash = self._leashes[pid]
        try:
            if leash.receive(0) is None:
                return  # it was of another leash with this number, which is closed
            leash.send({"killed": pid})
        except ChannelClosed:
            self._poll.unregister(fd)
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def _reap(self) -> None:
        self._died.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                leash = self._leashes.pop(pid)
                with contextlib.suppress(KeyError):
                    self._poll.unregister(leash.fileno())
                self._tell(leash, {"ended": os.waitstatus_to_exitcode(status)})
                leash.close()

    @staticmethod
    def _tell(leash: Channel, message: dict[str, object]) -> None:
        with contextlib.suppress(ChannelClosed):  # nobody asks any more
            leash.send(message)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), None)

"""The fork server: a small process with one thread that forks the camera processes.

It has imported the modules of the drivers, so that its children share their memory. It holds no
camera and no thread of the daemon. Each child has a handle, a channel to the daemon: the fork
server kills the child when the daemon requests it or closes the handle, and reports how the child
ended. The fork server ends with the daemon, and its children end with it.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from edge.capture.camera import DrivenCamera
from edge.capture.isolation.channel import Channel, ChannelClosed
from edge.capture.isolation.child import main
from edge.capture.isolation.messages import (
    MAX_TEXT,
    ChildEnded,
    ChildRefused,
    KillSent,
    MalformedMessageError,
    StartChild,
)
from edge.capture.isolation.prctl import die_with_parent, set_process_name
from edge.config import CameraConfig
from edge.core.output import write_traceback

_MAX_FDS = 3  # those of StartChild


def serve(control: socket.socket, parent: int | None) -> NoReturn:
    """Runs the process until its end. The process must have no other thread.

    control  to the daemon; the process ends when the daemon closes its end
    parent   process id of the daemon that forked this process: it ends with that daemon. None: it
             ends only by `control`
    """
    code = 1
    try:
        if parent is None or die_with_parent(parent):
            ForkServer(control).run()
            code = 0
    except BaseException as error:  # noqa: BLE001  outermost loop of this process
        write_traceback(error)
    finally:
        os._exit(code)  # the daemon's exit handlers must not run here


class ForkServer:
    """Waits for requests of the daemon, and reaps its children."""

    def __init__(self, control: socket.socket) -> None:
        set_process_name("fork-server")
        gc.enable()  # the daemon starts with the collector disabled
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the daemon stops this process by `control`
        self._control = Channel(control)
        self._handles: dict[int, Channel] = {}  # by the child's process id
        self._child_ended, self._wakeup = socket.socketpair()
        for end in (self._child_ended, self._wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._poll = select.poll()
        self._poll.register(self._control.fileno(), select.POLLIN)
        self._poll.register(self._child_ended, select.POLLIN)

    def run(self) -> None:
        """Serves until the daemon ends or closes `control`; then kills and reaps every child."""
        with contextlib.suppress(ChannelClosed):
            while True:
                for fd, _ in self._poll.poll():
                    if fd == self._control.fileno():
                        self._start_child()
                    elif fd == self._child_ended.fileno():
                        self._reap()
                    else:
                        self._on_handle(fd)
        for pid in self._handles:
            os.kill(pid, signal.SIGKILL)
        for pid in self._handles:
            os.waitpid(pid, 0)

    def _start_child(self) -> None:
        message, fds = self._control.receive_with_fds(_MAX_FDS)
        if not isinstance(message, StartChild):
            raise MalformedMessageError(f"the fork server cannot handle {message!s:.80}")
        if len(fds) != _MAX_FDS:
            return  # the daemon had no free descriptor, and has closed its own ends
        child_end, memory, server_end = fds
        handle = Channel(socket.socket(fileno=server_end))
        try:
            opener = importlib.import_module(message.driver_module).driver_of(message.kind)
            CameraConfig.model_rebuild()  # once here, not in each camera process
            gc.freeze()  # the garbage collector never writes to the shared pages
            server, child = os.getpid(), os.fork()
        except Exception as error:  # noqa: BLE001  an import can raise anything; the daemon logs it
            self._report(handle, ChildRefused(str(error)[:MAX_TEXT]))
            handle.close()
        else:
            if child == 0:
                self._become_child(handle, server, child_end, memory, opener)
            self._handles[child] = handle
            self._poll.register(server_end, select.POLLIN)
        os.close(child_end)
        os.close(memory)

    def _become_child(
        self,
        handle: Channel,
        server: int,
        child_end: int,
        memory: int,
        opener: Callable[[CameraConfig], DrivenCamera],
    ) -> NoReturn:
        """In the new process: closes everything of the fork server, and reads the camera."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            for channel in (handle, self._control, *self._handles.values()):
                channel.close()
            self._child_ended.close()
            self._wakeup.close()
            os.setsid()
            if die_with_parent(server):
                main(child_end, memory, opener)
                code = 0
        except BaseException as error:  # noqa: BLE001  outermost loop of this process
            write_traceback(error)
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _on_handle(self, fd: int) -> None:
        """Kills the child: the daemon has requested it, or has closed the handle."""
        pid = next((p for p, handle in self._handles.items() if handle.fileno() == fd), None)
        if pid is None:
            return  # reaped in this round
        handle = self._handles[pid]
        try:
            if handle.receive(0) is None:
                return  # the event came from a closed handle with the same descriptor
            handle.send(KillSent())
        except ChannelClosed:
            self._poll.unregister(fd)
        os.kill(pid, signal.SIGKILL)  # not reaped yet: no other process can have this id

    def _reap(self) -> None:
        self._child_ended.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                handle = self._handles.pop(pid)
                with contextlib.suppress(KeyError):
                    self._poll.unregister(handle.fileno())
                self._report(handle, ChildEnded(os.waitstatus_to_exitcode(status)))
                handle.close()

    @staticmethod
    def _report(handle: Channel, message: ChildEnded | ChildRefused) -> None:
        with contextlib.suppress(ChannelClosed):  # the daemon has closed the handle
            handle.send(message)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), None)

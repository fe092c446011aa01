"""What a process tells the Linux kernel about itself, by prctl."""

import ctypes
import os
import signal

from edge.capture.channel import ChannelClosed

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME = 1, 4, 15


def die_with_parent(parent: int) -> None:
    """The kernel ends this process with the thread of `parent` that made it.

    Raises ChannelClosed when it has died already.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that line
        raise ChannelClosed


def leave_no_core() -> None:
    """A driver that crashes every few seconds must not fill the disk."""
    _prctl(_PR_SET_DUMPABLE, 0)


def set_process_name(name: str) -> None:
    """What `ps -e` and `top` show, cut to 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode()[:15])


def _prctl(option: int, value: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)

"""Sets Linux process options: end with the parent, core files, name."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME = 1, 4, 15


def die_with_parent(parent: int) -> bool:
    """Makes the kernel kill this process when the thread that forked it ends.

    `parent` is the parent's process id. False: the parent has ended already, so the kernel will
    not kill this process.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent  # the parent may have ended before the line above


def leave_no_core() -> None:
    """A driver that crashes every few seconds must not fill the disk with core files."""
    _prctl(_PR_SET_DUMPABLE, 0)


def set_process_name(name: str) -> None:
    """Sets what `ps -e` and `top` show; the kernel keeps 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode()[:15])


def _prctl(option: int, value: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)

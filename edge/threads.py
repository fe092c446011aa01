"""Threads of the daemon: named, and never a reason for the process not to end."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path


class NamedThread(threading.Thread):
    """A thread that `top -H` and `ps -T` show by its name, cut to 15 bytes, as Python tells the
    kernel from 3.14 on. It is a daemon thread: what hangs in a driver must not keep the process
    from ending."""

    def __init__(self, name: str, run: Callable[[], object]) -> None:
        """Not started yet."""
        super().__init__(target=run, name=name, daemon=True)

    def run(self) -> None:
        """On the thread itself."""
        with contextlib.suppress(OSError):  # a name is no reason to fail
            comm = Path(f"/proc/self/task/{self.native_id}/comm")
            comm.write_bytes(self.name.encode()[:15])
        super().run()


def start_thread(name: str, run: Callable[[], object]) -> threading.Thread:
    """A started thread."""
    thread = NamedThread(name, run)
    thread.start()
    return thread

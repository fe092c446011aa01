"""Threads of the daemon: named, and never a reason for the process not to end."""

import threading
from collections.abc import Callable


def start_thread(name: str, run: Callable[[], object]) -> threading.Thread:
    """A started thread. It is a daemon thread: what hangs in a driver must not keep the process
    from ending."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread

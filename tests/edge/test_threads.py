"""Threads that the kernel knows by name."""

import threading
from pathlib import Path

from edge.threads import NamedThread, start_thread


def test_a_thread_is_named_as_top_shows_it() -> None:
    """Cut to the 15 bytes that the kernel keeps; it keeps no process from ending."""
    seen: list[str] = []

    def look() -> None:
        own = threading.get_native_id()
        seen.append(Path(f"/proc/self/task/{own}/comm").read_text(encoding="utf-8").strip())

    for name in ("outbox", "camera-of-the-left-side"):
        thread = start_thread(name, look)
        thread.join(10)
        assert thread.daemon
    assert seen == ["outbox", "camera-of-the-l"]


def test_what_was_not_started_does_not_run() -> None:
    """Until it is started."""
    ran = threading.Event()
    thread = NamedThread("later", ran.set)
    assert thread.ident is None
    assert not ran.is_set()
    thread.start()
    thread.join(10)
    assert ran.is_set()

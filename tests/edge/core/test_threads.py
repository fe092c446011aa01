"""Threads whose names the kernel shows."""

import threading
from pathlib import Path

import pytest

from edge.core.threads import CopyOnWriteDict, NamedThread, start_thread


def test_a_thread_is_named_as_top_shows_it() -> None:
    """The name is cut to 15 bytes. The thread does not stop the process from ending."""
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
    """The thread does not run before `start`."""
    ran = threading.Event()
    thread = NamedThread("later", ran.set)
    assert thread.ident is None
    assert not ran.is_set()
    thread.start()
    thread.join(10)
    assert ran.is_set()


def test_an_iteration_sees_one_moment() -> None:
    """An iteration sees the entries of its start, whatever changes."""
    entries = CopyOnWriteDict({"a": 1, "b": 2})
    seen = []
    for value in entries.values():
        entries.pop("b", None)
        entries["c"] = 3
        seen.append(value)
    assert seen == [1, 2]
    assert dict(entries) == {"a": 1, "c": 3}
    assert (len(entries), "b" in entries, entries.get("b")) == (2, False, None)


def test_a_key_has_one_entry() -> None:
    """A second entry under the same key replaces the first; a key that is missing stays missing."""
    entries = CopyOnWriteDict({"a": 1})
    entries["a"] = 2
    entries.pop("z", None)
    assert dict(entries) == {"a": 2}
    with pytest.raises(KeyError):
        del entries["z"]

"""Threads whose names the kernel shows."""

import threading
from pathlib import Path

import pytest

from edge.core import threads
from edge.core.threads import CopyOnWriteDict, NamedThread, ThreadWatch, start_thread
from tests.edge.conftest import FakeClock
from tests.support.waiting import wait_until


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


class Fails(BaseException):
    """No `except Exception` catches it."""


@pytest.fixture
def watch(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> ThreadWatch:
    """Knows the threads of the test alone; a failed thread goes on at once."""
    monkeypatch.setattr(threads, "PAUSE_S", 0.001)
    return ThreadWatch(clock.tick)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, Fails])
def test_a_thread_goes_on_after_any_exception(
    error: type[BaseException], watch: ThreadWatch, clock: FakeClock
) -> None:
    """Its function is called again. The failure is counted, and a fault for ten minutes."""
    calls: list[int] = []

    def run() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise error("by the test")

    start_thread("outbox", run, watch=watch).join(30)
    assert len(calls) == 3
    (fault,) = watch.faults()
    assert (fault.name, fault.ended, fault.vital, watch.failures) == ("outbox", False, True, 2)
    assert error.__name__ in fault.why
    clock.at += 601
    assert watch.faults() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_ended_thread_is_a_fault(watch: ThreadWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second exception, outside the thread's loop, ends it. That is seen at once."""

    def fail(_seconds: float) -> None:
        raise SystemExit

    monkeypatch.setattr("edge.core.threads.time.sleep", fail)
    start_thread("outbox", lambda: 1 / 0, watch=watch).join(30)
    (fault,) = watch.faults()
    assert (fault.name, fault.ended) == ("outbox", True)
    assert "has ended" in fault.why


def test_a_thread_that_fails_all_the_time_counts_as_ended(
    watch: ThreadWatch, clock: FakeClock
) -> None:
    """Six failures in a minute: only a restart may help. A minute later it is well again."""
    for _ in range(6):
        watch.failed("outbox", ValueError("x"), vital=True)
    assert [fault.ended for fault in watch.faults()] == [True]
    clock.at += 61
    assert [fault.ended for fault in watch.faults()] == [False]


def test_a_library_s_thread_is_watched_until_it_is_asked_to_end(watch: ThreadWatch) -> None:
    """It is no fault while it runs, nor when it was removed before its end."""
    for removed in (True, False):
        go = threading.Event()
        thread = threading.Thread(target=go.wait, name="waitress-0")
        thread.start()
        watch.add(thread, vital=False)
        assert watch.faults() == []
        if removed:
            watch.remove(thread)
        go.set()
        thread.join(30)
        ended = [] if removed else [("waitress-0", False)]
        assert [(one.name, one.vital) for one in watch.faults()] == ended


def test_a_thread_for_one_connection_is_not_started_again(watch: ThreadWatch) -> None:
    """Its owner replaces it, so its end is a failure, no ended thread. Without an owner it is."""
    for vital in (False, True):
        calls: list[int] = []

        def run(calls: list[int] = calls) -> None:
            calls.append(1)
            raise Fails

        thread = NamedThread(f"mqtt {vital}", run, vital=vital, again=False, watch=watch)
        thread.start()
        thread.join(30)
        assert calls == [1]
    assert {one.name: one.ended for one in watch.faults()} == {
        "mqtt True": True,
        "mqtt False": False,
    }


def test_a_thread_that_cannot_start_is_no_fault(
    watch: ThreadWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who started it gets the exception."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        start_thread("outbox", lambda: None, watch=watch)
    assert watch.faults() == []


@pytest.mark.slow
def test_the_daemon_s_watch_sees_its_threads() -> None:
    """Without a watch of its own a thread reports to the one that `health` reads."""
    before = threads.WATCH.failures
    calls: list[int] = []

    def run() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Fails

    start_thread("of a test", run)
    wait_until(lambda: len(calls) == 2)
    assert threads.WATCH.failures == before + 1


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

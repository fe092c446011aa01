"""Ids and the boot id."""

import os
import socket
import threading
import uuid
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge.core.clock import Clock, StopEvent
from edge.core.ids import uuid7


@given(ms=st.integers(0, 2**48 - 1), random=st.binary(min_size=10, max_size=10))
def test_uuid7_is_version_7_and_carries_its_time(ms: int, random: bytes) -> None:
    """An id has version 7, RFC 9562's variant, and the milliseconds in its first 48 bits."""
    made = uuid.UUID(uuid7(ms, random))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == ms


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10))
def test_later_ids_sort_later(ms: int, random: bytes) -> None:
    """An id of a later millisecond sorts after, as text too."""
    assert uuid7(ms, b"\xff" * 10) < uuid7(ms + 1, random)


def test_ids_never_meet() -> None:
    """A thousand ids of one moment all differ."""
    assert len({uuid7() for _ in range(1000)}) == 1000


def test_ids_never_meet_after_a_fork() -> None:
    """Two processes, one forked from the other, give different ids."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.write(theirs, "".join(uuid7(0)[14:] for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(ours, 65_536).decode()
    os.close(ours)
    os.close(theirs)
    made = {text[at : at + 22] for at in range(0, len(text), 22)}
    assert len(made) == 100
    assert made.isdisjoint(uuid7(0)[14:] for _ in range(100))


def test_boot_id_is_read_below_the_root(tmp_path: Path) -> None:
    """The boot id comes from /proc under the root; `unknown` without one."""
    assert Clock(root=tmp_path).boot_id() == "unknown"
    file = tmp_path / "proc/sys/kernel/random/boot_id"
    file.parent.mkdir(parents=True)
    file.write_text("b-1\n")
    assert Clock(root=tmp_path).boot_id() == "b-1"


def test_waiting_ends_when_the_daemon_stops() -> None:
    """A wait is False while the daemon runs and True at once when it stops."""
    stop = StopEvent()
    assert stop.wait(0) is False
    stop.set()
    assert stop.is_set()
    assert stop.wait(3600) is True


def test_waiting_for_a_file_too_ends_with_either() -> None:
    """A wait that watches a descriptor ends when there is something to read, which is no stop; and
    at once when the daemon stops, during it or before."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stop = StopEvent()
        theirs.send(b"1")
        assert stop.wait(3600, ours.fileno()) is False
        ours.recv(1)
        waiting = threading.Thread(target=stop.wait, args=(3600, ours.fileno()))
        waiting.start()
        stop.set()
        waiting.join(60)
        assert not waiting.is_alive()
        assert stop.wait(3600, ours.fileno()) is True
        before = StopEvent()
        before.set()
        assert before.wait(3600, ours.fileno()) is True

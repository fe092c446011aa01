"""The thread that writes the outbox: nothing is lost while the disk refuses, or is slow."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import Clock
from edge.core.verdict import Verdict
from edge.storage.outbox.commit_queue import WriterLimits
from edge.storage.outbox.sqlite import OutboxError
from edge.storage.outbox.store import OutboxStore
from edge.storage.outbox.writer import OutboxWriter
from edge.storage.outbox.writer_state import WriterState
from tests.support.outbox_rows import numbers_in
from tests.support.refusing_store import DEADLINE_S, BalkingStore
from tests.support.verdicts import a_verdict
from tests.support.waiting import wait_until

Start = Callable[..., OutboxWriter]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox lives."""
    return tmp_path / "outbox.db"


@pytest.fixture
def store(path: Path) -> Iterator[BalkingStore]:
    """An empty outbox on a disk that works until the test makes it refuse."""
    made = BalkingStore(path)
    yield made
    made.gate.set()
    made.close()


@pytest.fixture
def start(store: BalkingStore) -> Iterator[Start]:
    """`start(durability=…, window_s=…)`: a running writer that tries a refusing disk again soon."""
    running: list[tuple[OutboxWriter, threading.Thread]] = []

    def make(*, held: int = 10_000, **options: Any) -> OutboxWriter:
        limits = WriterLimits(held=held, retry_s=0.02)
        writer = OutboxWriter(store, Clock(), limits=limits, **options)
        thread = threading.Thread(target=writer.run, name="outbox")
        thread.start()
        running.append((writer, thread))
        return writer

    yield make
    store.gate.set()
    for writer, thread in running:
        writer.close()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
        writer.send_queue.close()


def shown(writer: OutboxWriter) -> list[int]:
    """The numbers that the publisher may send."""
    return [row.seq for row in writer.send_queue.batch(0, 1_000_000)]


BOTH = pytest.mark.parametrize("durability", ["strict", "balanced"])


@BOTH
def test_everything_submitted_is_stored_in_order(start: Start, path: Path, durability: str) -> None:
    """flush returns when all that was submitted is on disk, numbered in the order it came."""
    writer = start(durability=durability, window_s=60.0)
    for n in range(300):
        writer.submit(a_verdict(part=f"<{n}>"))
    writer.flush(DEADLINE_S)
    assert numbers_in(path) == list(range(1, 301))
    rows = writer.send_queue.batch(0, 999)
    assert len(rows) == 300
    assert all(f'"<{n}>"'.encode() in row.body for n, row in enumerate(rows))
    assert writer.stats().stored == 300


def test_strict_shows_only_what_is_on_disk(start: Start, store: BalkingStore) -> None:
    """While the commit runs the publisher sees nothing; after it, all."""
    writer = start()
    store.gate.clear()
    writer.submit(a_verdict())
    assert shown(writer) == []
    store.gate.set()
    wait_until(lambda: shown(writer) == [1])


@pytest.mark.slow
def test_balanced_shows_at_once_and_spares_the_disk(
    start: Start, store: BalkingStore, path: Path
) -> None:
    """What is acknowledged within the window is never written; the rest is, after it."""
    safe: list[int] = []
    writer = start(
        durability="balanced",
        window_s=0.5,
        on_commit=lambda _verdicts, numbers: safe.extend(numbers),
    )
    for _ in range(3):
        writer.submit(a_verdict())
    assert shown(writer) == [1, 2, 3]
    writer.accept(2)
    wait_until(lambda: len(safe) == 3)
    assert numbers_in(path) == [1, 3]
    assert sorted(safe) == [1, 2, 3]
    assert sum(stored for stored, _ in store.commits) == 2


@BOTH
def test_on_commit_once_a_verdict(start: Start, store: BalkingStore, durability: str) -> None:
    """Whatever the disk does, each verdict is reported as safe exactly once."""
    safe: list[tuple[str, int]] = []

    def note(verdicts: Sequence[Verdict], numbers: Sequence[int]) -> None:
        safe.extend(zip((v.id for v in verdicts), numbers))

    writer = start(durability=durability, window_s=0.01, on_commit=note)
    verdicts = [a_verdict() for _ in range(50)]
    for number, verdict in enumerate(verdicts, 1):
        if number == 10:
            store.refusals = 5
        writer.submit(verdict)
        if number % 3 == 0 and number in shown(writer):
            writer.accept(number)
    wait_until(lambda: len(safe) >= 50 and not writer.fault)
    assert sorted(safe, key=lambda one: one[1]) == [(v.id, n) for n, v in enumerate(verdicts, 1)]


@BOTH
def test_a_refusing_disk_loses_nothing(
    start: Start, store: BalkingStore, path: Path, durability: str
) -> None:
    """While the disk refuses, verdicts may be sent from memory; when it heals they are stored."""
    writer = start(durability=durability, window_s=0.01)
    store.refusals = 1_000_000
    for _ in range(20):
        writer.submit(a_verdict())
    wait_until(lambda: bool(writer.fault))
    writer.submit(a_verdict())
    assert "disk is full" in writer.fault
    wait_until(lambda: shown(writer) == list(range(1, 22)))
    writer.accept(1)
    store.refusals = 2
    wait_until(lambda: not writer.fault)
    writer.flush(DEADLINE_S)
    assert numbers_in(path) == list(range(2, 22))
    assert (writer.stats().dropped, writer.stats().held) == (0, 0)


def test_numbers_sent_from_memory_are_not_given_again(
    start: Start, store: BalkingStore, path: Path
) -> None:
    """The disk refuses, the daemon is killed: the next one begins behind what may be out."""
    writer = start()
    store.refusals = 1_000_000
    for _ in range(5):
        writer.submit(a_verdict())
    wait_until(lambda: shown(writer) == [1, 2, 3, 4, 5])
    raw = store.numbers.path.read_bytes()  # as kill -9 leaves it
    other = path.parent / "after" / path.name
    other.parent.mkdir()
    other.with_name(store.numbers.path.name).write_bytes(raw)
    again = OutboxStore(other, 2**26, 3600.0, Clock())
    assert again.first > 5
    again.close()
    store.refusals = 0


def test_a_refusing_disk_never_blocks_and_is_bounded(
    start: Start, store: BalkingStore, path: Path
) -> None:
    """While the disk refuses, submit returns at once; past the bound the oldest go, counted."""
    writer = start(held=500)
    store.refusals = 1_000_000
    writer.submit(a_verdict())
    wait_until(lambda: bool(writer.fault))
    for _ in range(1, 600):
        writer.submit(a_verdict())
    assert writer.stats().dropped_by["memory"] >= 1
    store.refusals = 0
    wait_until(lambda: not writer.fault)
    writer.flush(DEADLINE_S)
    kept = numbers_in(path)
    assert kept == list(range(601 - len(kept), 601))
    assert len(kept) + writer.stats().dropped == 600


@pytest.mark.slow
@BOTH
def test_a_slow_disk_drops_nothing(start: Start, store: BalkingStore, durability: str) -> None:
    """A disk that is slow but does not refuse makes inspection wait; no verdict goes."""
    writer = start(held=600, durability=durability, window_s=0.01)
    store.gate.clear()
    done = threading.Event()

    def submit_many() -> None:
        for _ in range(2000):
            writer.submit(a_verdict())
        done.set()

    thread = threading.Thread(target=submit_many)
    thread.start()
    wait_until(lambda: writer.stats().held >= 256)
    assert not done.wait(0.2)
    assert writer.stats().held <= 600
    store.gate.set()
    thread.join(DEADLINE_S)
    writer.flush(DEADLINE_S)
    assert (writer.stats().stored, writer.stats().dropped) == (2000, 0)


def test_verdicts_go_on_while_a_damaged_file_is_rebuilt(start: Start, store: BalkingStore) -> None:
    """A rebuild may take minutes: the thread shows progress, verdicts are sent from memory, and
    inspection goes on. Afterwards every verdict is on disk, and the fault is over."""
    store.rebuilds = True
    store.gate.clear()
    writer = start()
    began = writer.beat
    writer.submit(a_verdict())
    wait_until(lambda: "being rebuilt" in writer.fault)
    assert writer.status.state is WriterState.RECOVERING
    for _ in range(1000):  # more than may wait for a disk
        writer.submit(a_verdict())
    wait_until(lambda: writer.send_queue.newest() == 1001)
    assert len(writer.send_queue.batch(0, 2000)) == 1001
    assert writer.beat > began
    store.rebuilds = False
    store.gate.set()
    writer.flush(DEADLINE_S)
    wait_until(lambda: not writer.fault)
    assert writer.stats().rows == 1001


def test_acknowledgements_survive_a_refusing_disk(start: Start, store: BalkingStore) -> None:
    """Accepted and parked rows are remembered until the disk takes them."""
    writer = start()
    for _ in range(3):
        writer.submit(a_verdict())
    writer.flush(DEADLINE_S)
    store.refusals = 2
    writer.accept(1)
    writer.park(2, "too large")
    wait_until(lambda: writer.stats().acked == 1 and writer.stats().parked == 1)
    assert writer.stats().rows == 2


def test_parked_before_it_is_written(start: Start, path: Path) -> None:
    """In `balanced` the broker may refuse a row that is in memory alone: it is stored as parked."""
    writer = start(durability="balanced", window_s=0.2)
    writer.submit(a_verdict())
    writer.park(1, "too large")
    wait_until(lambda: writer.stats().parked == 1)
    assert shown(writer) == []
    assert numbers_in(path) == []
    assert writer.stats().rows == 1


@BOTH
def test_close_writes_what_is_left(
    start: Start, store: BalkingStore, path: Path, durability: str
) -> None:
    """The thread ends only when all is on disk, and then no number is in doubt."""
    writer = start(durability=durability, window_s=60.0)
    writer.submit(a_verdict())
    writer.submit(a_verdict())
    wait_until(lambda: shown(writer) == [1, 2])
    writer.accept(1)
    writer.close()
    wait_until(lambda: not store.numbers.issued_unstored and numbers_in(path) == [2])


def test_closing_on_a_dead_disk_ends_and_says_what_is_lost(
    store: BalkingStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that still refuses at the end is tried once more, then the loss is in the log."""
    store.refusals = 1_000_000
    writer = OutboxWriter(store, Clock())
    for _ in range(3):
        writer.submit(a_verdict())
    writer.close()
    writer.run()
    assert "3 verdicts could not be written and are lost" in caplog.text


def test_flush_gives_up_on_a_refusing_disk(start: Start, store: BalkingStore) -> None:
    """flush does not wait out its time when the disk refuses: shutting down must go on."""
    writer = start()
    store.refusals = 1_000_000
    writer.submit(a_verdict())
    began = time.monotonic()
    writer.flush(DEADLINE_S)
    assert writer.fault
    assert time.monotonic() - began < DEADLINE_S / 2


def test_strict_wakes_the_sender_after_each_commit(start: Start) -> None:
    """When `on_sendable` is called, the rows may be sent: one commit, one call."""
    calls: list[list[int]] = []
    writer: OutboxWriter = start(on_sendable=lambda: calls.append(shown(writer)))
    for number in range(1, 4):
        writer.submit(a_verdict())
        wait_until(lambda now=number: len(calls) == now)  # type: ignore[misc]
    assert calls == [[1], [1, 2], [1, 2, 3]]


def test_balanced_wakes_the_sender_at_each_verdict(start: Start) -> None:
    """On the thread that submits, before the disk has the row."""
    calls: list[list[int]] = []
    writer: OutboxWriter = start(
        durability="balanced", window_s=60.0, on_sendable=lambda: calls.append(shown(writer))
    )
    for _ in range(3):
        writer.submit(a_verdict())
    assert calls == [[1], [1, 2], [1, 2, 3]]


@BOTH
def test_states_from_start_to_end(start: Start, store: BalkingStore, durability: str) -> None:
    """A disk that refuses and then works again, and a disk that works until the end."""
    writer = start(durability=durability, window_s=0.01)
    assert writer.status.state is WriterState.NORMAL
    store.refusals = 1_000_000
    writer.submit(a_verdict())
    wait_until(lambda: writer.status.state is WriterState.DEGRADED)
    store.refusals = 0
    wait_until(lambda: writer.status.state is WriterState.NORMAL)
    writer.close()
    wait_until(lambda: writer.status.state is WriterState.CLOSED)


def test_a_fault_of_our_own_loses_nothing(
    start: Start, store: BalkingStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on, the fault is reported, and the verdict is stored at the next try."""
    with monkeypatch.context() as broken:
        broken.setattr(store, "apply", lambda *_args, **_options: 1 // 0)
        writer = start()
        writer.submit(a_verdict())
        wait_until(lambda: "ZeroDivisionError" in writer.fault)
        wait_until(lambda: shown(writer) == [1])
    wait_until(lambda: not writer.fault)
    assert numbers_in(path) == [1]


def test_damage_in_a_file_that_was_replaced_is_ignored(
    start: Start, store: BalkingStore, path: Path
) -> None:
    """A late report must not set the new file aside."""
    writer = start()
    writer.submit(a_verdict())
    writer.flush(DEADLINE_S)
    writer.report_damage(OutboxError("malformed", "damaged"), store.generation - 1)
    writer.submit(a_verdict())
    writer.flush(DEADLINE_S)
    assert store.damaged == 0
    writer.report_damage(OutboxError("malformed", "damaged"), store.generation)
    wait_until(lambda: store.damaged == 1 and not writer.fault)
    wait_until(lambda: shown(writer) == [1, 2])
    assert numbers_in(path) == [1, 2]

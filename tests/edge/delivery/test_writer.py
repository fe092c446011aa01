"""The thread that writes the outbox: nothing is lost while the disk refuses, or is slow."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.delivery import writer as writer_module
from edge.delivery.holding import Applied
from edge.delivery.outboxfile import OutboxError
from edge.delivery.row import Row
from edge.delivery.store import Store
from edge.delivery.writer import OutboxWriter
from edge.environment import Environment
from edge.verdict import Verdict
from tests.edge.conftest import Eventually
from tests.edge.delivery.test_outbox import numbers_in
from tests.support.verdicts import a_verdict

DEADLINE_S = 20.0
Start = Callable[..., OutboxWriter]


class BalkingStore(Store):
    """A real outbox on a disk that refuses the next `refusals` commits, or answers late."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 2**26, 3600.0, Environment())
        self.refusals = 0
        self.commits: list[tuple[int, int]] = []
        self.mends = False
        self.gate = threading.Event()
        self.gate.set()

    def apply(
        self,
        rows: Sequence[Row],
        receipts: Sequence[tuple[str, str]],
        accepted: Sequence[int],
        parked: Sequence[tuple[int, str]],
        *,
        given: int = 0,
        stale: Sequence[tuple[str, str]] = (),
    ) -> Applied:
        """As the real one, when the disk lets it."""
        if self.mends:
            self.mending()
        assert self.gate.wait(DEADLINE_S)
        if self.refusals > 0:
            self.refusals -= 1
            raise OutboxError("the disk is full", "refused")
        applied = super().apply(rows, receipts, accepted, parked, given=given, stale=stale)
        self.commits.append((len(rows), len(accepted)))
        return applied


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox lives."""
    return tmp_path / "outbox.db"


@pytest.fixture
def store(path: Path) -> Iterator[BalkingStore]:
    """An empty outbox on a disk that works until told otherwise."""
    made = BalkingStore(path)
    yield made
    made.gate.set()
    made.close()


@pytest.fixture
def start(store: BalkingStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """`start(durability=…, window_s=…)`: a running writer that tries a refusing disk again soon."""
    monkeypatch.setattr(writer_module, "_RETRY_S", 0.02)
    running: list[tuple[OutboxWriter, threading.Thread]] = []

    def make(**options: Any) -> OutboxWriter:
        writer = OutboxWriter(store, Environment(), **options)
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
        writer.waiting.close()


def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition, and fails when it does not come."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come"
        time.sleep(0.005)


def shown(writer: OutboxWriter) -> list[int]:
    """The numbers that the publisher may send."""
    return [row.seq for row in writer.waiting.batch(0, 1_000_000)]


BOTH = pytest.mark.parametrize("durability", ["strict", "balanced"])


@BOTH
def test_everything_submitted_is_stored_in_order(start: Start, path: Path, durability: str) -> None:
    """flush returns when all that was submitted is on disk, numbered in the order it came."""
    writer = start(durability=durability, window_s=60.0)
    for n in range(300):
        writer.submit(a_verdict(part=f"<{n}>"))
    writer.flush(DEADLINE_S)
    assert numbers_in(path) == list(range(1, 301))
    rows = writer.waiting.batch(0, 999)
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
    until(lambda: shown(writer) == [1])


def test_balanced_shows_at_once_and_spares_the_disk(
    start: Start, store: BalkingStore, path: Path
) -> None:
    """What is acknowledged within the window is never written; the rest is, after it."""
    writer = start(durability="balanced", window_s=0.5)
    safe: list[int] = []
    writer.on_commit = lambda _verdicts, numbers: safe.extend(numbers)
    for _ in range(3):
        writer.submit(a_verdict())
    assert shown(writer) == [1, 2, 3]
    writer.accept(2)
    until(lambda: len(safe) == 3)
    assert numbers_in(path) == [1, 3]
    assert sorted(safe) == [1, 2, 3]
    assert sum(stored for stored, _ in store.commits) == 2


@BOTH
def test_on_commit_once_a_verdict(start: Start, store: BalkingStore, durability: str) -> None:
    """Whatever the disk does meanwhile, each verdict is said to be safe exactly once."""
    writer = start(durability=durability, window_s=0.01)
    safe: list[tuple[str, int]] = []

    def note(verdicts: Sequence[Verdict], numbers: Sequence[int]) -> None:
        safe.extend(zip((v.id for v in verdicts), numbers))

    writer.on_commit = note
    verdicts = [a_verdict() for _ in range(50)]
    for number, verdict in enumerate(verdicts, 1):
        if number == 10:
            store.refusals = 5
        writer.submit(verdict)
        if number % 3 == 0 and number in shown(writer):
            writer.accept(number)
    until(lambda: len(safe) >= 50 and not writer.fault)
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
    until(lambda: bool(writer.fault))
    writer.submit(a_verdict())
    assert "disk is full" in writer.fault
    until(lambda: shown(writer) == list(range(1, 22)))
    writer.accept(1)
    store.refusals = 2
    until(lambda: not writer.fault)
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
    until(lambda: shown(writer) == [1, 2, 3, 4, 5])
    raw = store.numbers.path.read_bytes()  # as kill -9 leaves it
    other = path.parent / "after" / path.name
    other.parent.mkdir()
    other.with_name(store.numbers.path.name).write_bytes(raw)
    again = Store(other, 2**26, 3600.0, Environment())
    assert again.first > 5
    again.close()
    store.refusals = 0


def test_a_refusing_disk_never_blocks_and_is_bounded(
    start: Start, store: BalkingStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk refuses, submit returns at once; past the bound the oldest go, counted."""
    monkeypatch.setattr(writer_module, "_HELD", 500)
    writer = start()
    store.refusals = 1_000_000
    writer.submit(a_verdict())
    until(lambda: bool(writer.fault))
    for _ in range(1, 600):
        writer.submit(a_verdict())
    assert writer.stats().dropped_by["memory"] >= 1
    store.refusals = 0
    until(lambda: not writer.fault)
    writer.flush(DEADLINE_S)
    kept = numbers_in(path)
    assert kept == list(range(601 - len(kept), 601))
    assert len(kept) + writer.stats().dropped == 600


@BOTH
def test_a_slow_disk_drops_nothing(
    start: Start, store: BalkingStore, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    """A disk that is slow but does not refuse makes inspection wait; no verdict goes."""
    monkeypatch.setattr(writer_module, "_HELD", 600)
    writer = start(durability=durability, window_s=0.01)
    store.gate.clear()
    done = threading.Event()

    def submit_many() -> None:
        for _ in range(2000):
            writer.submit(a_verdict())
        done.set()

    thread = threading.Thread(target=submit_many)
    thread.start()
    until(lambda: writer.stats().held >= 256)
    assert not done.wait(0.2)
    assert writer.stats().held <= 600
    store.gate.set()
    thread.join(DEADLINE_S)
    writer.flush(DEADLINE_S)
    assert (writer.stats().stored, writer.stats().dropped) == (2000, 0)


def test_nobody_waits_while_a_damaged_file_is_mended(
    start: Start, store: BalkingStore, eventually: Eventually
) -> None:
    """Minutes that a salvage takes: the thread shows that it lives, verdicts are sent from memory,
    and inspection goes on. Afterwards all is on disk, and the fault is over."""
    store.mends = True
    store.gate.clear()
    writer = start()
    began = writer.beat
    writer.submit(a_verdict())
    eventually(lambda: "being mended" in writer.fault)
    for _ in range(1000):  # more than may wait for a disk
        writer.submit(a_verdict())
    eventually(lambda: writer.waiting.newest() == 1001)
    assert len(writer.waiting.batch(0, 2000)) == 1001
    assert writer.beat > began
    store.mends = False
    store.gate.set()
    writer.flush(DEADLINE_S)
    eventually(lambda: not writer.fault)
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
    until(lambda: writer.stats().acked == 1 and writer.stats().parked == 1)
    assert writer.stats().rows == 2


def test_parked_before_it_is_written(start: Start, path: Path) -> None:
    """In `balanced` the broker may refuse a row that is in memory alone: it is stored as parked."""
    writer = start(durability="balanced", window_s=0.2)
    writer.submit(a_verdict())
    writer.park(1, "too large")
    until(lambda: writer.stats().parked == 1)
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
    until(lambda: shown(writer) == [1, 2])
    writer.accept(1)
    writer.close()
    until(lambda: not store.numbers.given and numbers_in(path) == [2])


def test_closing_on_a_dead_disk_ends_and_says_what_is_lost(
    store: BalkingStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that still refuses at the end is tried once more, then the loss is in the log."""
    store.refusals = 1_000_000
    writer = OutboxWriter(store, Environment())
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


@BOTH
def test_who_has_stored_sends_while_verdicts_are_few(start: Start, durability: str) -> None:
    """What may be sent is shown by then; when many come the publisher is woken instead, so that
    one thread sends several together."""
    writer = start(durability=durability)
    sent: list[list[int]] = []
    woken: list[int] = []
    writer.send = lambda: sent.append(shown(writer))
    writer.on_stored = lambda: woken.append(1)
    for number in range(1, 4):
        writer.submit(a_verdict())
        until(lambda now=number: len(sent) == now)  # type: ignore[misc]
    assert sent == [[1], [1, 2], [1, 2, 3]]
    assert woken == []
    for _ in range(200):
        writer.submit(a_verdict())
    until(lambda: shown(writer)[-1] == 203)
    if durability == "balanced":
        assert woken
    assert len(sent) < 150

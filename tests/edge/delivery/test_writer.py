"""The thread that writes the outbox: nothing is lost while the disk refuses, or is slow."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge.delivery import writer as writer_module
from edge.delivery.outbox import Outbox, OutboxError, OutboxStats, OutboxView
from edge.delivery.writer import OutboxWriter
from edge.environment import Environment
from edge.verdict import Verdict
from tests.edge.delivery.samples import a_verdict

DEADLINE_S = 20.0


class BalkingOutbox(Outbox):
    """A real outbox on a disk that refuses the next `refusals` commits, or answers late."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 2**24, 3600.0)
        self.refusals = 0
        self.blind = 0  # so many times the counts cannot be read
        self.commits: list[tuple[int, int]] = []
        self.open = threading.Event()
        self.open.set()

    def apply(
        self,
        verdicts: Sequence[Verdict],
        accepted: Sequence[int],
        parked: Sequence[tuple[int, str]],
        now: float,
    ) -> list[int]:
        """As the real one, when the disk lets it."""
        assert self.open.wait(DEADLINE_S)
        if self.refusals > 0:
            self.refusals -= 1
            raise OutboxError("the disk is full")
        numbers = super().apply(verdicts, accepted, parked, now)
        self.commits.append((len(verdicts), len(accepted)))
        return numbers

    def stats(self) -> OutboxStats:
        """As the real one, when the disk lets it."""
        if self.blind > 0:
            self.blind -= 1
            raise OutboxError("the disk cannot be read")
        return super().stats()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[BalkingOutbox]:
    """An empty outbox on a disk that works until told otherwise."""
    box = BalkingOutbox(tmp_path / "outbox.db")
    yield box
    box.open.set()
    box.close()


@pytest.fixture
def writer(outbox: BalkingOutbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[OutboxWriter]:
    """A running writer that tries a refusing disk again soon."""
    monkeypatch.setattr(writer_module, "_RETRY_S", 0.02)
    running = OutboxWriter(outbox, Environment())
    thread = threading.Thread(target=running.run, name="outbox")
    thread.start()
    yield running
    outbox.open.set()
    running.close()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition, and fails when it does not come."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come"
        time.sleep(0.005)


def parts_in(path: Path) -> list[str]:
    """The `part` of each row that waits, in order."""
    view = OutboxView(path)
    rows = view.batch(0, 100_000)
    view.close()
    return [row.body.decode().split('"part":"')[1].split('"')[0] for row in rows]


def test_everything_submitted_is_stored_in_order(writer: OutboxWriter, tmp_path: Path) -> None:
    """flush returns when all that was submitted is on disk, in the order of submission."""
    for n in range(300):
        writer.submit(a_verdict(part=f"{n}"))
    writer.flush(DEADLINE_S)
    assert parts_in(tmp_path / "outbox.db") == [f"{n}" for n in range(300)]
    assert writer.stats().stored == 300


def test_one_commit_for_what_came_meanwhile(writer: OutboxWriter, outbox: BalkingOutbox) -> None:
    """While the disk is busy verdicts gather, and go down as one commit."""
    outbox.open.clear()
    for _ in range(50):
        writer.submit(a_verdict())
    outbox.open.set()
    writer.flush(DEADLINE_S)
    assert sum(stored for stored, _ in outbox.commits) == 50
    assert len(outbox.commits) <= 3


def test_a_refusing_disk_loses_nothing(
    writer: OutboxWriter, outbox: BalkingOutbox, tmp_path: Path
) -> None:
    """Commits that fail are tried again with all they held, and the fault is seen and heals."""
    outbox.refusals = 10_000
    faults = []
    for n in range(20):
        writer.submit(a_verdict(part=f"{n}"))
    until(lambda: bool(writer.fault))
    faults.append(writer.fault)
    writer.submit(a_verdict(part="20"))
    outbox.refusals = 3
    until(lambda: not writer.fault)
    writer.flush(DEADLINE_S)
    assert "disk is full" in faults[0]
    assert parts_in(tmp_path / "outbox.db") == [f"{n}" for n in range(21)]
    assert writer.stats().dropped == 0


def test_acknowledgements_survive_a_refusing_disk(
    writer: OutboxWriter, outbox: BalkingOutbox
) -> None:
    """Accepted and parked rows are remembered until the disk takes them."""
    for _ in range(3):
        writer.submit(a_verdict())
    writer.flush(DEADLINE_S)
    outbox.refusals = 2
    writer.accept(1)
    writer.park(2, "too large")
    until(lambda: writer.stats().acked == 1 and writer.stats().parked == 1)
    assert writer.stats().rows == 2


def test_a_verdict_is_stored_once_when_only_the_counts_fail(
    writer: OutboxWriter, outbox: BalkingOutbox, tmp_path: Path
) -> None:
    """A commit that succeeded is never repeated because reading the counts after it failed."""
    outbox.blind = 1
    writer.submit(a_verdict(part="once"))
    until(lambda: len(outbox.commits) >= 1)
    writer.submit(a_verdict(part="twice"))
    until(lambda: writer.stats().stored >= 2)
    assert parts_in(tmp_path / "outbox.db") == ["once", "twice"]


def test_a_slow_disk_makes_inspection_wait(writer: OutboxWriter, outbox: BalkingOutbox) -> None:
    """Past 256 verdicts in memory, submit waits for the disk instead of piling up."""
    outbox.open.clear()
    count = 0

    def submit_many() -> None:
        nonlocal count
        for _ in range(600):
            writer.submit(a_verdict())
            count += 1

    thread = threading.Thread(target=submit_many)
    thread.start()
    until(lambda: count >= 256)
    assert count <= 2 * 256  # one group in the writer's hands, one waiting
    assert thread.is_alive()
    outbox.open.set()
    thread.join(DEADLINE_S)
    writer.flush(DEADLINE_S)
    assert writer.stats().stored == 600


def test_a_refusing_disk_never_blocks_and_is_bounded(
    writer: OutboxWriter,
    outbox: BalkingOutbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the disk refuses, submit returns at once; past the bound the oldest go, counted."""
    monkeypatch.setattr(writer_module, "_HELD", 500)
    outbox.refusals = 1_000_000
    writer.submit(a_verdict(part="0"))
    until(lambda: bool(writer.fault))
    for n in range(1, 600):
        writer.submit(a_verdict(part=f"{n}"))
    dropped = writer.stats().dropped
    outbox.refusals = 0
    until(lambda: not writer.fault)
    writer.flush(DEADLINE_S)
    kept = parts_in(tmp_path / "outbox.db")
    assert dropped >= 1
    assert kept == [f"{n}" for n in range(600 - len(kept), 600)]
    assert len(kept) + writer.stats().dropped == 600


def test_acknowledgements_wait_for_company(tmp_path: Path, outbox: BalkingOutbox) -> None:
    """Acknowledgements alone cost no commit before their delay has passed; then one for all."""
    tick = 0.0
    writer = OutboxWriter(outbox, Environment(tick=lambda: tick))
    thread = threading.Thread(target=writer.run)
    thread.start()
    for _ in range(40):
        writer.submit(a_verdict())
    writer.flush(DEADLINE_S)
    before = len(outbox.commits)
    for seq in range(1, 41):
        writer.accept(seq)
    beats = writer.beat
    assert len(outbox.commits) == before
    tick = 2.0
    until(lambda: writer.stats().acked == 40)
    assert len(outbox.commits) == before + 1
    assert writer.beat > beats  # the watchdog sees progress
    writer.close()
    thread.join(DEADLINE_S)


def test_closing_writes_what_is_left(outbox: BalkingOutbox, tmp_path: Path) -> None:
    """close ends the thread only when verdicts and acknowledgements are on disk."""
    writer = OutboxWriter(outbox, Environment())
    writer.submit(a_verdict(part="a"))
    writer.submit(a_verdict(part="b"))
    writer.accept(1)
    writer.close()
    writer.run()
    writer.accept(1)
    writer.run()
    assert parts_in(tmp_path / "outbox.db") == ["b"]


def test_closing_on_a_dead_disk_ends_and_says_what_is_lost(
    outbox: BalkingOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that still refuses at the end is tried once more, then the loss is in the log."""
    outbox.refusals = 1_000_000
    writer = OutboxWriter(outbox, Environment())
    for _ in range(3):
        writer.submit(a_verdict())
    writer.close()
    writer.run()
    assert "3 verdicts could not be written and are lost" in caplog.text


def test_flush_gives_up_on_a_refusing_disk(writer: OutboxWriter, outbox: BalkingOutbox) -> None:
    """flush does not wait out its time when the disk refuses: shutting down must go on."""
    outbox.refusals = 1_000_000
    writer.submit(a_verdict())
    start = time.monotonic()
    writer.flush(DEADLINE_S)
    assert writer.fault
    assert time.monotonic() - start < DEADLINE_S / 2
    outbox.refusals = 0


def test_the_publisher_is_woken_after_each_store(
    writer: OutboxWriter, outbox: BalkingOutbox
) -> None:
    """on_stored comes after the commit, so what it announces can be read."""
    seen: list[int] = []
    writer.on_stored = lambda: seen.append(sum(stored for stored, _ in outbox.commits))
    writer.submit(a_verdict())
    until(lambda: bool(seen))
    assert seen == [1]
    writer.accept(1)
    until(lambda: writer.stats().acked == 1)
    assert seen == [1]

"""The verdicts that only the outbox has come into the history, each once."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.clock import Clock
from edge.storage import (
    HistoryError,
    HistoryQuery,
    HistoryReader,
    HistorySettings,
    HistoryWriter,
    OutboxReader,
)
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.records import OutboxChanges, OutboxRow
from tests.edge.storage.history.bodies import a_body
from tests.support.verdicts import NOON

Store = Callable[[int, int], list[bytes]]
Start = Callable[..., HistoryWriter]


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """Where the outbox is."""
    return tmp_path / "outbox.db"


@pytest.fixture
def store(outbox: Path) -> Iterator[Store]:
    """Stores verdicts from one number to another in the outbox; returns their bodies."""
    file = OutboxDatabase(outbox, 64 * 2**20, 86_400.0)

    def more(first: int, last: int) -> list[bytes]:
        found = [a_body(number) for number in range(first, last + 1)]
        rows = [OutboxRow(first + n, 1.0, body) for n, body in enumerate(found)]
        file.apply(OutboxChanges(rows=rows), 1.0)
        return found

    yield more
    file.close()


@pytest.fixture
def start(path: Path, outbox: Path) -> Iterator[Start]:
    """`start(next_number)`: a writer of a new run, whose outbox gives this number next."""
    writers: list[HistoryWriter] = []

    def begin(next_number: int, rate: float = 0.0) -> HistoryWriter:
        writer = HistoryWriter(
            path,
            HistorySettings(pass_sample=rate),
            Clock(),
            outbox=OutboxReader(outbox),
            next_number=lambda: next_number,
        )
        writers.append(writer)
        return writer

    yield begin
    for one in writers:
        one.close()
        one.run()


def found(path: Path) -> list[int]:
    """The numbers in the file, the oldest first."""
    return [row.body["seq"] for row in HistoryReader(path).verdicts(HistoryQuery())][::-1]


def counted(path: Path) -> int:
    """The verdicts in the minute aggregates."""
    return sum(point.count for point in HistoryReader(path).counts(NOON, NOON + 100_000))


def run(writer: HistoryWriter, times: int) -> None:
    """Some commits."""
    for _ in range(times):
        writer.run_once()


def test_adds_what_a_killed_run_left_to_the_outbox(start: Start, store: Store, path: Path) -> None:
    """The rows above the newest remembered verdict; those that are known stay as they are."""
    bodies = store(1, 30)
    killed = start(1)
    for body in bodies[:20]:
        killed.add(body)
    run(killed, 2)
    writer = start(31)
    writer.add(a_body(31))
    run(writer, 3)
    assert found(path) == list(range(1, 32))
    assert counted(path) == 31


def test_adds_what_was_offered_out_of_order(start: Start, store: Store, path: Path) -> None:
    """`balanced` offers acknowledged verdicts before earlier ones that still wait."""
    bodies = store(1, 10)
    killed = start(1)
    run(killed, 1)
    for body in bodies[:4] + bodies[6:]:
        killed.add(body)
    run(killed, 2)
    run(start(11), 2)
    assert found(path) == list(range(1, 11))
    assert counted(path) == 10


@pytest.mark.slow
@given(kills=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20)), max_size=3))
@settings(max_examples=8, deadline=None)
def test_no_kill_leaves_a_gap(
    kills: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However often a run is killed while it catches up, the history is complete up to its newest
    verdict, and complete after a run that is not killed."""
    folder = tmp_path_factory.mktemp("box")
    history, outbox = folder / "history.db", folder / "outbox.db"
    file = OutboxDatabase(outbox, 64 * 2**20, 86_400.0)
    numbers = count(1)
    last = 0

    def judge(many: int) -> list[bytes]:
        nonlocal last
        rows = [OutboxRow(n, 1.0, a_body(n)) for _, n in zip(range(many), numbers)]
        file.apply(OutboxChanges(rows=rows), 1.0)
        last = max([last, *(row.seq for row in rows)])
        return [row.body for row in rows]

    def begin() -> HistoryWriter:
        first = last + 1
        return HistoryWriter(
            history,
            HistorySettings(),
            Clock(),
            outbox=OutboxReader(outbox),
            next_number=lambda: first,
        )

    judge(620)
    for commits, judged in kills:  # a writer that is not closed was killed
        killed = begin()
        for body in judge(judged):
            killed.add(body)
        run(killed, commits)
        assert found(history) == list(range(1, len(found(history)) + 1))
    run(begin(), 5)
    assert found(history) == list(range(1, last + 1))
    assert counted(history) == last
    file.close()


def test_a_long_backlog_is_added_before_new_verdicts(
    start: Start, store: Store, path: Path
) -> None:
    """A kill meanwhile leaves no gap, since the newest verdict tells the next start where to go
    on."""
    store(1, 1200)
    writer = start(1201)
    writer.add(a_body(1201))
    run(writer, 1)
    assert found(path) == list(range(1, 501))
    run(writer, 4)
    assert found(path) == list(range(1, 1202))


@pytest.mark.slow
def test_too_many_new_verdicts_do_not_wait(start: Start, store: Store, path: Path) -> None:
    """Past half of the memory they are written between the steps, rather than not remembered."""
    store(1, 1200)
    writer = start(1201)
    for number in range(1201, 3201):
        writer.add(a_body(number))
    run(writer, 2)
    assert max(found(path)) > 1201
    run(writer, 8)
    assert found(path) == list(range(1, 3201))
    assert writer.stats().not_remembered == 0


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["header", "cut", "nothing readable"])
def test_a_damaged_history_gets_the_outbox_again(
    start: Start, store: Store, path: Path, damage: str
) -> None:
    """What cannot be saved from the damaged file comes from the outbox: all, once, counted once."""
    bodies = store(1, 600)
    writer = start(1)
    for body in bodies:
        writer.add(body)
    run(writer, 3)
    writer.close()
    writer.run()
    data = path.read_bytes()
    if damage == "header":
        path.write_bytes(bytes(16) + data[16:])
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.write_bytes(data[:1024] + b"\xa5" * (len(data) - 1024))
    writer = start(601)
    writer.add(a_body(601))
    run(writer, 12)
    assert writer.stats().damaged == 1
    assert found(path) == list(range(1, 602))
    assert counted(path) == 601
    assert not path.with_name("history.db.salvage").exists()


def test_a_history_that_proves_damaged_in_use(start: Start, store: Store, path: Path) -> None:
    """The same without a restart."""
    bodies = store(1, 50)
    writer = start(1)
    for body in bodies:
        writer.add(body)
    run(writer, 2)
    writer.report_damage(HistoryError("history.db: malformed", "damaged"))
    run(writer, 4)
    assert found(path) == list(range(1, 51))
    assert counted(path) == 50


def test_an_outbox_that_counts_from_one_again(start: Start, store: Store, path: Path) -> None:
    """Its verdicts get keys above the earlier ones, and none takes the place of another."""
    former = start(1)
    for number in range(1, 101):
        former.add(a_body(number))
    run(former, 2)
    store(1, 20)  # a new outbox, whose first run was killed before its history had a commit
    writer = start(21)
    writer.add(a_body(21))
    run(writer, 3)
    assert found(path) == [*range(1, 101), *range(1, 22)]
    run(start(22), 3)
    assert found(path) == [*range(1, 101), *range(1, 22)]


def test_the_rate_of_the_killed_run_counts(start: Start, store: Store, path: Path) -> None:
    """config.yaml may have another `pass_sample` by now."""
    bodies = store(1, 4)
    killed = start(1, rate=0.02)
    run(killed, 1)
    killed.add(bodies[0])
    run(killed, 2)
    run(start(5, rate=0.005), 2)
    rates = [row.pass_sample for row in HistoryReader(path).verdicts(HistoryQuery())]
    assert rates == [0.02] * 4


def test_an_outbox_that_cannot_be_read(
    start: Start, outbox: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """New verdicts are remembered all the same, and the log says what may be missing."""
    outbox.write_bytes(b"no outbox" * 1000)
    writer = start(5)
    writer.add(a_body(5))
    run(writer, 3)
    assert found(path) == [5]
    assert "the history may lack verdicts that wait there" in caplog.text


@pytest.mark.slow
def test_dropped_verdicts_do_not_come_back(start: Start, store: Store, path: Path) -> None:
    """What the budget has removed stays removed, although the outbox still has it."""
    store(1, 3000)
    small = HistorySettings(max_bytes=128 * 1024)
    writer = start(3001)
    writer.adopt(small)
    run(writer, 20)
    kept = found(path)
    assert 0 < len(kept) < 2900
    assert kept[-1] == 3000
    again = start(3001)
    again.adopt(small)
    run(again, 20)
    assert found(path) == kept
    assert counted(path) == 3000


@pytest.mark.slow
def test_a_disk_that_refuses_meanwhile(start: Start, store: Store, path: Path) -> None:
    """The steps go on when it works again, and nothing is missing."""
    store(1, 1200)
    writer = start(1201)
    run(writer, 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")  # the file cannot be written
        run(writer, 1)
        assert "the history cannot be" in writer.stats().fault
        assert found(path) == list(range(1, 501))
    run(writer, 4)
    assert writer.stats().fault == ""
    assert found(path) == list(range(1, 1201))
    assert counted(path) == 1200

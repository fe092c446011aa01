"""The thread that remembers verdicts: batches, a refusing disk, damage, and shutdown."""

import threading
from pathlib import Path

import pytest

from edge.core.clock import Clock
from edge.core.threads import start_thread
from edge.storage import HistoryError, HistoryQuery, HistoryReader, HistorySettings, HistoryWriter
from edge.storage.history.writer import BATCH, COMMIT_S
from tests.edge.storage.history.bodies import a_body
from tests.edge.storage.history.conftest import Write
from tests.support.clock import FakeClock
from tests.support.verdicts import NOON
from tests.support.waiting import wait_until


def found(path: Path) -> list[int]:
    """The numbers in the file, the oldest first."""
    return [row.body["seq"] for row in HistoryReader(path).verdicts(HistoryQuery())][::-1]


def offer(writer: HistoryWriter, first: int, last: int) -> None:
    """Offers verdicts."""
    for number in range(first, last + 1):
        writer.add(a_body(number))


def test_one_commit_takes_a_batch(a_writer: Write, path: Path) -> None:
    """A commit takes what waits, at most `BATCH` verdicts."""
    writer = a_writer()
    offer(writer, 1, BATCH + 3)
    writer.run_once()
    assert found(path) == list(range(1, BATCH + 1))
    writer.run_once()
    assert writer.stats().rows == BATCH + 3
    assert writer.stats().oldest == NOON + 1


def test_writes_what_waits_at_its_end(path: Path) -> None:
    """Verdicts that were offered before `close` are in the file when the thread has ended."""
    writer = HistoryWriter(path, HistorySettings(), Clock())
    thread = start_thread("history", writer.run, vital=False)
    offer(writer, 1, 20)
    writer.close()
    assert writer.join(30)
    thread.join()
    assert found(path) == list(range(1, 21))


def test_waits_for_more_before_it_commits(path: Path) -> None:
    """A single verdict waits for others; many are committed early."""
    writer = HistoryWriter(path, HistorySettings(), Clock())
    thread = start_thread("history", writer.run, vital=False)
    wait_until(path.exists, "the file is opened")
    offer(writer, 1, 1)
    assert found(path) == []
    offer(writer, 2, BATCH)
    took = wait_until(lambda: len(found(path)) == BATCH, "all are there", poll_s=0.1)
    assert took < COMMIT_S - 1 or took > COMMIT_S  # a slow machine proves nothing
    writer.close()
    thread.join()


@pytest.mark.slow
def test_an_idle_thread_sleeps(path: Path) -> None:
    """Without verdicts the thread does not wake up."""
    writer = HistoryWriter(path, HistorySettings(), Clock())
    woken = threading.Event()
    once = writer.run_once

    def counted() -> bool:
        woken.set()
        return once()

    writer.run_once = counted  # type: ignore[method-assign]
    thread = start_thread("history", writer.run, vital=False)
    assert woken.wait(30)  # it opens the file
    wait_until(path.exists, "the file is opened")
    woken.clear()
    assert not woken.wait(0.5)
    writer.close()
    thread.join()


def test_add_never_waits_for_the_disk(a_writer: Write, path: Path) -> None:
    """While the disk refuses, verdicts wait in memory up to a bound; those past it are counted."""
    path.mkdir()  # cannot be opened
    writer = a_writer()
    body = a_body(1)
    count = 3 * 2**20 // len(body)
    for _ in range(count):
        writer.add(body)
    writer.run_once()
    stats = writer.stats()
    assert "history.db: must be a regular file" in stats.fault
    assert 0 < stats.not_remembered < count
    path.rmdir()
    offer(writer, 2, 3)


def test_a_disk_that_recovers_gets_what_waited(a_writer: Write, path: Path) -> None:
    """Nothing within the bound is missing after a fault, and the fault ends."""
    path.mkdir()
    writer = a_writer()
    offer(writer, 1, 5)
    writer.run_once()
    assert writer.stats().fault
    path.rmdir()
    offer(writer, 6, 7)
    writer.run_once()
    assert writer.stats().fault == ""
    assert found(path) == list(range(1, 8))


def test_a_budget_of_zero_turns_it_off(a_writer: Write, path: Path) -> None:
    """Nothing is written or counted; a reload turns it on, and off again."""
    writer = a_writer(HistorySettings(max_bytes=0))
    offer(writer, 1, 3)
    writer.run_once()
    assert not path.exists()
    assert writer.stats().not_remembered == 0
    writer.adopt(HistorySettings())
    offer(writer, 4, 5)
    writer.run_once()
    assert found(path) == [4, 5]
    writer.adopt(HistorySettings(max_bytes=0))
    writer.run_once()
    offer(writer, 6, 6)
    writer.run_once()
    assert found(path) == [4, 5]


def test_the_rate_in_force_goes_with_the_verdict(a_writer: Write, path: Path) -> None:
    """A reload changes the rate for later verdicts only."""
    writer = a_writer(HistorySettings(pass_sample=0.005))
    offer(writer, 1, 2)
    writer.adopt(HistorySettings(pass_sample=0.02))
    offer(writer, 3, 3)
    writer.run_once()
    rows = HistoryReader(path).verdicts(HistoryQuery())
    assert [row.pass_sample for row in rows] == [0.02, 0.005, 0.005]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["header", "middle", "cut", "zeros"])
def test_a_damaged_file_is_set_aside_and_saved(a_writer: Write, path: Path, damage: str) -> None:
    """New verdicts go into a new file at once; what can be read follows; the file is kept."""
    writer = a_writer()
    for first in range(1, 3001, 500):
        offer(writer, first, first + 499)
        writer.run_once()
    writer.close()
    writer.run()
    data = bytearray(path.read_bytes())
    size = len(data)
    if damage == "header":
        data[:16] = bytes(16)
    elif damage == "middle":
        data[size // 2 : size // 2 + 20_000] = b"\xa5" * 20_000
    elif damage == "cut":
        del data[size // 2 :]
    else:
        data[size // 2 :] = bytes(size - size // 2)
    path.write_bytes(data)
    writer = a_writer()
    offer(writer, 3001, 3002)
    for _ in range(30):
        writer.run_once()
    stats = writer.stats()
    numbers = found(path)
    assert (stats.damaged, stats.fault) == (1, "")
    assert numbers[-2:] == [3001, 3002]
    assert stats.salvaged == len(numbers) - 2
    assert stats.salvaged >= {"header": 0, "middle": 2000, "cut": 800, "zeros": 800}[damage]
    counted = HistoryReader(path).counts(NOON, NOON + 10_000)
    assert sum(point.count for point in counted) >= stats.salvaged
    assert len(list(path.parent.glob("history.db.damaged-*Z"))) == 1
    assert not path.with_name("history.db.salvage").exists()


@pytest.mark.slow
def test_a_salvage_goes_on_after_a_kill(a_writer: Write, path: Path) -> None:
    """What a killed process had not saved is saved by the next one, and counted once."""
    writer = a_writer()
    for first in range(1, 2001, 500):
        offer(writer, first, first + 499)
        writer.run_once()
    writer.report_damage(HistoryError("history.db: malformed", "damaged"))
    writer.run_once()
    writer.run_once()
    assert 0 < writer.stats().salvaged < 2000
    writer.close()  # the salvage is left
    writer.run()
    writer = a_writer()
    for _ in range(10):
        writer.run_once()
    assert found(path) == list(range(1, 2001))
    counted = HistoryReader(path).counts(NOON, NOON + 10_000)
    assert sum(point.count for point in counted) == 2000


def test_only_the_newest_damaged_file_is_kept(
    a_writer: Write, path: Path, clock: FakeClock
) -> None:
    """Damaged files must not fill the disk."""
    writer = a_writer()
    for number in (1, 2, 3):
        offer(writer, number, number)
        writer.run_once()
        writer.report_damage(HistoryError("history.db: malformed", "damaged"))
        clock.at += 10
        for _ in range(5):
            writer.run_once()
    assert len(list(path.parent.glob("history.db.damaged-*Z"))) == 1
    assert found(path) == [1, 2, 3]
    assert writer.stats().damaged == 3


def test_a_deleted_file_begins_anew(a_writer: Write, path: Path) -> None:
    """Whoever deletes the file in use gets a new one."""
    writer = a_writer()
    offer(writer, 1, 2)
    writer.run_once()
    path.unlink()
    offer(writer, 3, 4)
    writer.run_once()
    assert found(path) == [3, 4]


def test_a_file_of_another_program_turns_it_off(a_writer: Write, path: Path) -> None:
    """The file stays, the fault names it, and verdicts are remembered once it is moved away."""
    path.write_text("notes of the shift")
    writer = a_writer()
    offer(writer, 1, 2)
    writer.run_once()
    assert "is no history of edge-inspect; it stays as it is" in writer.stats().fault
    assert path.read_text() == "notes of the shift"
    path.unlink()
    writer.run_once()
    assert found(path) == [1, 2]


def test_a_wrong_date_deletes_nothing(a_writer: Write, path: Path, clock: FakeClock) -> None:
    """For an hour after a start or a jump nothing is too old; then the oldest verdicts go."""
    writer = a_writer(HistorySettings(max_age_s=60))
    offer(writer, 1, 2)  # captured years after the clock's date, and long before the next ones
    writer.run_once()
    clock.at += 3599
    writer.run_once()
    assert writer.stats().rows == 2
    jumped = Clock(lambda: NOON + 1e6 + clock.at, clock.tick)
    later = HistoryWriter(path, HistorySettings(max_age_s=60), jumped)
    later.run_once()
    clock.at += 3599
    later.run_once()
    assert later.stats().rows == 2
    clock.at += 2
    later.run_once()
    assert later.stats().rows == 0
    later.close()
    later.run()


@pytest.mark.slow
def test_a_disk_that_is_almost_full_is_asked(a_writer: Write, path: Path) -> None:
    """Below 64 MB free the history does not grow."""
    writer = a_writer(free_bytes=lambda folder: 2**20 if folder == path.parent else 2**40)
    for first in range(1, 6001, 500):
        offer(writer, first, first + 499)
        writer.run_once()
    assert 500 < writer.stats().rows < 2500

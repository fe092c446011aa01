"""Faults that `make lossfinder` has found, each as small as it can be shown."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge.core.clock import Clock
from edge.core.messages import stored_body
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxChanges, OutboxRow
from edge.storage.outbox.recovery.carve import carve
from edge.storage.outbox.recovery.quarantine import RebuildHooks
from edge.storage.outbox.send_queue import SendQueue
from edge.storage.outbox.sqlite import OutboxError
from edge.storage.outbox.store import OutboxStore
from edge.storage.outbox.writer import OutboxWriter
from tests.support.refusing_store import BalkingStore
from tests.support.verdicts import a_verdict
from tests.support.waiting import wait_until

HOUR = 3600.0
MB = 2**20


def test_a_number_sent_from_memory_is_not_given_after_a_stop_in_order(tmp_path: Path) -> None:
    """The disk refuses to the end, all verdicts go from memory and are acknowledged: the next start
    does not give their numbers again."""
    path = tmp_path / "outbox.db"
    store = BalkingStore(path)
    writer = OutboxWriter(store, Clock())
    thread = threading.Thread(target=writer.run)
    thread.start()
    writer.submit(a_verdict())
    wait_until(lambda: writer.stats().stored == 1)
    store.refusals = 10**6
    writer.submit(a_verdict())
    wait_until(lambda: writer.send_queue.newest() == 2)
    writer.accept(2)
    writer.close()
    thread.join(20)
    assert not thread.is_alive()
    writer.send_queue.close()
    store.close()
    again = OutboxStore(path, 64 * MB, HOUR, Clock())
    assert again.first > 2
    again.close()


@pytest.mark.slow
def test_a_number_sent_from_memory_is_not_given_after_a_kill(tmp_path: Path) -> None:
    """The same when the disk takes verdicts again and there is none left to write: the file knows
    the number all the same."""
    path = tmp_path / "outbox.db"
    store = BalkingStore(path)
    writer = OutboxWriter(store, Clock())
    thread = threading.Thread(target=writer.run)
    thread.start()
    store.refusals = 10**6
    writer.submit(a_verdict())
    wait_until(lambda: writer.send_queue.newest() == 1 and bool(writer.fault))
    wait_until(lambda: _accepted(writer, 1))
    store.refusals = 0
    wait_until(lambda: not writer.fault)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT last, rows FROM state").fetchone() == (1, 0)
    writer.close()
    thread.join(20)
    writer.send_queue.close()
    store.close()


def test_what_is_acknowledged_at_once_costs_no_write(tmp_path: Path) -> None:
    """`balanced`: nothing is written while the box runs; when it ends in order, the number is."""
    path = tmp_path / "outbox.db"
    store = BalkingStore(path)
    safe: list[int] = []
    writer = OutboxWriter(
        store,
        Clock(),
        durability="balanced",
        window_s=HOUR,
        on_commit=lambda _, numbers: safe.extend(numbers),
    )
    thread = threading.Thread(target=writer.run)
    thread.start()
    for seq in range(1, 6):
        writer.submit(a_verdict())
        writer.accept(seq)
        wait_until(lambda seq=seq: safe == list(range(1, seq + 1)))  # type: ignore[misc]
    assert not store.commits
    writer.close()
    thread.join(20)
    writer.send_queue.close()
    store.close()
    again = OutboxStore(path, 64 * MB, HOUR, Clock())
    assert (again.last, again.first, again.skipped) == (5, 6, 0)
    again.close()


def test_a_first_start_on_a_full_disk_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that SQLite has just made is empty: no number was ever given, and the box runs from
    memory until the disk takes verdicts."""
    path = tmp_path / "outbox.db"

    def full(*_: object) -> OutboxDatabase:
        path.touch()
        raise OutboxError("the disk is full", "refused")

    with monkeypatch.context() as broken:
        broken.setattr("edge.storage.outbox.store.OutboxDatabase", full)
        store = OutboxStore(path, 64 * MB, HOUR, Clock())
    assert store.fault
    assert store.first == 1
    store.open(RebuildHooks())
    assert not store.fault
    store.close()


def test_a_verdict_with_a_wrong_bit_is_not_carved(tmp_path: Path) -> None:
    """It still is JSON, and says something else: what is looked for in the bytes of a damaged file
    must have its checksum. Of 300 rows some have checksums of fewer bytes than others."""
    path = tmp_path / "outbox.db"
    rows = [OutboxRow(seq, 1.0, stored_body(a_verdict(), seq)) for seq in range(1, 301)]
    outbox = OutboxDatabase(path, 64 * MB, HOUR)
    outbox.apply(OutboxChanges(rows=rows), 1.0)
    outbox.close()
    raw = path.read_bytes()
    assert {row.seq: row.body for row in carve(raw)} == {row.seq: row.body for row in rows}
    at = raw.index(b'"verdict":"', raw.index(b'"seq":7,')) + len(b'"verdict":"') + 1
    hurt = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
    assert {row.seq for row in carve(hurt)} == set(range(1, 301)) - {7}


def test_rows_that_leave_memory_during_a_batch_are_not_skipped(tmp_path: Path) -> None:
    """Between the look into the file and the look into memory, rows go from the one to the
    other: the batch has them, or ends before them."""
    path = tmp_path / "outbox.db"
    outbox = OutboxDatabase(path, 64 * MB, HOUR)
    rows = [OutboxRow(seq, 1.0, stored_body(a_verdict(), seq)) for seq in range(1, 1501)]
    outbox.apply(OutboxChanges(rows=rows), 1.0)

    class Slow(OutboxReader):
        between: Callable[[], None] | None = None

        def batch(self, after: int, limit: int, before: int | None = None) -> list[OutboxRow]:
            found = super().batch(after, limit, before)
            act, self.between = self.between, None
            if act is not None:
                act()
            return found

    view = Slow(path)
    waiting = SendQueue(view, 10, lambda: 1.0)
    waiting.show(rows[10:500], stored=True)
    view.between = lambda: waiting.show(rows[500:], stored=True)
    at = 0
    seen: list[int] = []
    while batch := waiting.batch(at, 20):
        seen += [row.seq for row in batch]
        at = seen[-1]
    assert seen == list(range(1, 1501))
    waiting.close()
    outbox.close()


def _accepted(writer: OutboxWriter, seq: int) -> bool:
    """The broker's answer, as often as it takes to come between two tries of the disk."""
    writer.accept(seq)
    return writer.stats().acked == 1


def test_damage_seen_while_running_gives_no_number_again(tmp_path: Path) -> None:
    """What was delivered is not in the file that is set aside, and the new one knows its numbers
    all the same; nor does what was delivered since the start come back."""
    path = tmp_path / "outbox.db"
    store = OutboxStore(path, 64 * MB, HOUR, Clock())
    rows = [OutboxRow(seq, 1.0, stored_body(a_verdict(), seq)) for seq in range(1, 11)]
    store.apply(OutboxChanges(rows=rows))
    store.apply(OutboxChanges(accepted=[*range(1, 7), 9, 10]))
    store.rebuild(OutboxError("malformed", "damaged"), RebuildHooks())
    assert store.last == 10
    view = store.new_reader()
    assert [row.seq for row in view.batch(0, 100)] == [7, 8]
    view.close()
    store.close()  # as a kill leaves it: nothing is stored after the damage
    again = OutboxStore(path, 64 * MB, HOUR, Clock())
    assert again.first > 10
    again.close()

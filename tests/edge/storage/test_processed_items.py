"""Receipts: what was judged is not judged again, and a year of them does not fill the file."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.clock import Clock
from edge.core.threads import start_thread
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import CommitResult, OutboxChanges
from edge.storage.outbox.store import OutboxStore
from edge.storage.outbox.writer import OutboxWriter
from edge.storage.processed_items import ProcessedItems
from tests.support.outbox_rows import rows_from
from tests.support.refusing_store import BalkingStore
from tests.support.verdicts import a_verdict

MB = 2**20
DEADLINE_S = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox lives."""
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[OutboxDatabase]:
    """One of a megabyte."""
    made = OutboxDatabase(path, MB, 3600.0)
    yield made
    made.close()


def receipt(number: int) -> str:
    """Of a file of that time."""
    return f"part-{number:08}.jpg|123456|{1_790_000_000_000_000_000 + number}"


def test_a_receipt_is_stored_with_its_verdict(outbox: OutboxDatabase, path: Path) -> None:
    """The receipt is there with the verdict, per camera, and stays when the row has gone."""
    view = OutboxReader(path)
    assert not view.is_judged("top", "a.png|1")
    outbox.apply(OutboxChanges(rows=rows_from(1, 1), receipts=[("top", "a.png|1")]), 1.0)
    outbox.apply(OutboxChanges(accepted=[1]), 1.0)
    assert view.is_judged("top", "a.png|1")
    assert not view.is_judged("side", "a.png|1")
    view.close()


def test_a_forgotten_receipt_is_gone_and_the_others_stay(
    outbox: OutboxDatabase, path: Path
) -> None:
    """One camera's receipt is struck out in a commit that stores others."""
    view = OutboxReader(path)
    outbox.apply(OutboxChanges(receipts=[("top", "a"), ("top", "b"), ("side", "a")]), 1.0)
    outbox.apply(
        OutboxChanges(receipts=[("top", "c")], stale=[("top", "a"), ("top", "never")]), 1.0
    )
    assert sorted(view.receipts("top")) == ["b", "c"]
    assert view.receipts("side") == ["a"]
    view.close()


@pytest.mark.slow
def test_years_of_judged_files_leave_room_for_verdicts(outbox: OutboxDatabase, path: Path) -> None:
    """Files are judged and moved away, 20,000 of them, with a file of 1 MB: the verdicts that wait
    are never dropped for receipts."""
    view = OutboxReader(path)

    def forget(stale: Sequence[tuple[str, str]]) -> None:
        outbox.apply(OutboxChanges(stale=stale), 1.0)

    receipts = ProcessedItems(view, forget, MB, 1)
    dropped = list(outbox.apply(OutboxChanges(rows=rows_from(1, 20)), 1.0).over_cap)
    for hundred in range(200):
        pairs = [("top", receipt(hundred * 100 + one)) for one in range(100)]
        dropped += outbox.apply(OutboxChanges(receipts=pairs), 1.0).over_cap
        receipts.prune("top", {pairs[-1][1]})
    assert not dropped
    assert outbox.file_stats().rows == 20
    known = view.receipts("top")
    assert receipt(19_999) in known
    assert len(known) <= receipts.keep + 1
    receipts.close()


@given(
    known=st.sets(st.integers(0, 400), max_size=200),
    present=st.sets(st.integers(0, 400), max_size=200),
    keep=st.integers(1, 60),
)
def test_only_the_oldest_of_what_is_gone_is_forgotten(
    known: set[int], present: set[int], keep: int
) -> None:
    """Nothing that lies in the folder is forgotten; of the rest the newest stay, never more than
    `keep` of them, and never fewer than nine tenths of it."""

    class View(OutboxReader):
        def receipts(self, camera: str) -> list[str]:
            assert camera == "top"
            return [receipt(one) for one in known]

    forgotten: list[tuple[str, str]] = []
    receipts = ProcessedItems(View(Path("none")), forgotten.extend, 8 * 128 * keep, 1)
    assert receipts.keep == keep
    receipts.prune("top", [receipt(one) for one in present])
    gone = sorted(known - present)
    stale = [receipt(one) for one in gone[: len(forgotten)]]
    assert forgotten == [("top", one) for one in stale]
    assert len(gone) - len(forgotten) <= keep
    if forgotten:
        assert len(gone) - len(forgotten) == keep * 9 // 10


@pytest.mark.slow
def test_the_writer_forgets_beside_its_verdicts(path: Path) -> None:
    """Thousands of receipts go in commits of their own, also while verdicts come."""
    store = OutboxStore(path, 64 * MB, 3600.0, Clock())
    writer = OutboxWriter(store, Clock())
    thread = start_thread("outbox", writer.run)
    judged = [receipt(number) for number in range(2_500)]
    for one in judged:
        writer.submit(replace(a_verdict(), receipt=one))
    writer.flush(DEADLINE_S)
    writer.forget([("top", one) for one in judged[:2_400]])
    view = store.new_reader()
    seen = threading.Event()
    while len(view.receipts("top")) > 100:
        assert not seen.wait(0.01)
        assert thread.is_alive()
    assert sorted(view.receipts("top")) == judged[2_400:]
    assert writer.stats().rows == 2_500
    view.close()
    writer.close()
    thread.join(DEADLINE_S)
    store.close()


def test_a_folder_says_what_lies_in_it(path: Path) -> None:
    """Below the bound nothing is read into memory twice, and nothing forgotten."""
    view = OutboxReader(path)
    OutboxDatabase(path, MB, 3600.0).close()
    forgotten: list[tuple[str, str]] = []
    receipts = ProcessedItems(view, forgotten.extend, 512 * MB, 2)
    assert receipts.keep == 50_000
    receipts.prune("top", set())
    assert not forgotten
    receipts.close()


@pytest.mark.parametrize("durability", ["strict", "balanced"])
def test_a_receipt_is_known_from_submit_on(
    path: Path, durability: Literal["strict", "balanced"]
) -> None:
    """At every moment, also during the commit: in memory, then on disk, also when the broker has
    acknowledged the verdict before it was written."""
    store = BalkingStore(path)
    writer = OutboxWriter(store, Clock(), durability=durability, window_s=1e-9)
    items = ProcessedItems(store.new_reader(), writer.forget, MB, 1, in_memory=writer.holds_receipt)
    seen: list[bool] = []
    real = store.apply

    def applied(*args: Any, **options: Any) -> CommitResult:
        seen.append(items.judged("top", "a") and items.judged("top", "b"))
        return real(*args, **options)

    store.apply = applied  # type: ignore[method-assign]
    for one in ("a", "b"):
        assert not items.judged("top", one)
        writer.submit(replace(a_verdict(), receipt=one))
        assert items.judged("top", one)
        assert not items.stored("top", one)
        assert not items.judged("side", one)
    writer.accept(1)
    store.refusals = 2
    for _ in range(4):
        writer.run_once()
        assert items.judged("top", "a")
        assert items.judged("top", "b")
    assert seen
    assert all(seen)
    assert items.stored("top", "a")
    assert items.stored("top", "b")
    assert not writer.holds_receipt("top", "a")
    assert not writer.holds_receipt("top", "b")
    items.close()
    writer.send_queue.close()
    store.close()

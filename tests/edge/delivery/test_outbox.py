"""The outbox by itself: what it keeps, what it refuses, and what it says."""

import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.delivery.message import stored_body
from edge.delivery.outbox import Outbox, OutboxError, OutboxView
from edge.verdict import Verdict
from tests.edge.delivery.samples import NOON, a_verdict

HOUR = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox lives: in a folder that does not exist yet."""
    return tmp_path / "state" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    """An empty outbox with room for a megabyte and an hour."""
    box = Outbox(path, 2**20, HOUR)
    yield box
    box.close()


def test_numbers_rise_by_one_across_reopen_and_deletion(path: Path) -> None:
    """seq rises by one a verdict and is never used again, also when its row is long gone."""
    for start in (1, 4, 7):
        box = Outbox(path, 2**20, HOUR)
        numbers = box.apply([a_verdict() for _ in range(3)], [], [], NOON)
        assert numbers == [start, start + 1, start + 2]
        box.apply([], numbers, [], NOON)
        assert box.stats().rows == 0
        box.close()


def test_rows_wait_in_order_until_accepted(outbox: Outbox, path: Path) -> None:
    """A batch hands out the oldest rows past a number, and what was accepted is gone."""
    verdicts = [a_verdict() for _ in range(5)]
    outbox.apply(verdicts, [], [], NOON)
    view = OutboxView(path)
    assert [row.body for row in view.batch(0, 9)] == [
        stored_body(v, seq) for seq, v in enumerate(verdicts, 1)
    ]
    outbox.apply([], [2, 3], [], NOON)
    assert [row.seq for row in view.batch(0, 9)] == [1, 4, 5]
    assert [row.seq for row in view.batch(1, 1)] == [4]
    assert outbox.stats().acked == 2
    view.close()


def test_an_unknown_number_is_not_counted(outbox: Outbox) -> None:
    """Accepting twice, or a row that was dropped, counts once."""
    outbox.apply([a_verdict()], [], [], NOON)
    outbox.apply([], [1, 1, 99], [], NOON)
    assert outbox.stats().acked == 1


def test_parked_rows_stay_but_are_not_sent(path: Path) -> None:
    """A row the broker refuses is kept aside, and offered again after a restart."""
    box = Outbox(path, 2**20, HOUR)
    box.apply([a_verdict(), a_verdict()], [], [], NOON)
    box.apply([], [], [(1, "too large")], NOON)
    view = OutboxView(path)
    assert [row.seq for row in view.batch(0, 9)] == [2]
    assert (box.stats().parked, box.stats().rows) == (1, 2)
    box.close()
    again = Outbox(path, 2**20, HOUR)
    assert [row.seq for row in view.batch(0, 9)] == [1, 2]
    assert again.stats().parked == 0
    view.close()
    again.close()


def test_the_cap_on_bytes_drops_the_oldest_and_counts(path: Path) -> None:
    """At the cap the oldest verdicts go, counted, and the newest always stays."""
    size = len(stored_body(a_verdict(), 1))
    box = Outbox(path, 3 * size + 10, HOUR)
    box.apply([a_verdict() for _ in range(5)], [], [], NOON)
    view = OutboxView(path)
    assert [row.seq for row in view.batch(0, 9)] == [3, 4, 5]
    assert (box.stats().dropped, box.stats().rows) == (2, 3)
    assert box.stats().bytes <= 3 * size + 10
    view.close()
    box.close()
    tiny = Outbox(path, 1, HOUR)
    tiny.apply([a_verdict()], [], [], NOON)
    assert tiny.stats().rows == 1
    tiny.close()


def test_the_cap_on_age_drops_the_old(outbox: Outbox, path: Path) -> None:
    """A verdict older than the limit goes at the next commit; one exactly as old stays."""
    outbox.apply([a_verdict()], [], [], NOON)
    outbox.apply([a_verdict()], [], [], NOON + 1)
    outbox.apply([], [], [], NOON + HOUR + 1)
    view = OutboxView(path)
    assert [row.seq for row in view.batch(0, 9)] == [2]
    assert outbox.stats().dropped == 1
    view.close()


def test_stats_tell_bytes_and_the_oldest(outbox: Outbox) -> None:
    """Size is that of the bodies; `oldest` is when the oldest waiting row was stored."""
    first, second = a_verdict(), a_verdict(part="a longer one")
    outbox.apply([first], [], [], NOON)
    outbox.apply([second], [], [], NOON + 9)
    stats = outbox.stats()
    assert stats.bytes == len(stored_body(first, 1)) + len(stored_body(second, 2))
    assert (stats.oldest, stats.stored) == (NOON, 2)
    outbox.apply([], [1], [], NOON + 10)
    assert outbox.stats().oldest == NOON + 9
    outbox.apply([], [2], [], NOON + 11)
    assert outbox.stats().oldest is None


def test_a_receipt_is_stored_with_its_verdict(outbox: Outbox, path: Path) -> None:
    """The receipt is there with the verdict, per camera, and stays when the row has gone."""
    view = OutboxView(path)
    assert not view.is_judged("top", "a.png|1")
    outbox.apply([a_verdict(receipt="a.png|1")], [], [], NOON)
    outbox.apply([], [1], [], NOON)
    assert view.is_judged("top", "a.png|1")
    assert not view.is_judged("side", "a.png|1")
    view.close()


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (a_verdict(score=float("nan")), ValueError),  # before anything is written
        (a_verdict(receipt=["no text"]), OutboxError),  # in the middle of the transaction
    ],
)
def test_a_failed_commit_changes_nothing(
    outbox: Outbox, path: Path, bad: Verdict, error: type[Exception]
) -> None:
    """One bad verdict in a group: none of it, no receipt, no deletion, no number is kept."""
    outbox.apply([a_verdict()], [], [], NOON)
    before = outbox.stats()
    with pytest.raises(error):
        outbox.apply([a_verdict(receipt="r"), bad], [1], [(1, "x")], NOON)
    view = OutboxView(path)
    assert outbox.stats() == before
    assert [row.seq for row in view.batch(0, 9)] == [1]
    assert not view.is_judged("top", "r")
    assert outbox.apply([a_verdict()], [], [], NOON) == [2]
    view.close()


def test_a_full_disk_is_named_and_heals(outbox: Outbox, path: Path) -> None:
    """A disk that takes no more gives a sentence, changes nothing, and works again with room."""
    outbox.apply([a_verdict()], [], [], NOON)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OutboxError, match="cannot be written") as caught:
            outbox.apply([a_verdict(part="x" * 10_000)], [1], [], NOON)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(path) in str(caught.value)
    assert (outbox.stats().rows, outbox.stats().stored, outbox.stats().acked) == (1, 1, 0)
    assert outbox.apply([a_verdict()], [1], [], NOON) == [2]


@pytest.mark.parametrize("content", [b"not a database at all, " * 40, b"SQLite format 3\0" * 300])
def test_a_torn_file_is_a_sentence(path: Path, content: bytes) -> None:
    """A file that is no outbox is not touched, and the sentence names it and the mend."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(OutboxError, match="move the file away") as caught:
        Outbox(path, 2**20, HOUR)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_newer_file_is_a_sentence(path: Path) -> None:
    """A file of another schema is refused with both mends."""
    Outbox(path, 2**20, HOUR).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=9")
    db.close()
    with pytest.raises(OutboxError, match=r"schema 9.*install the newer version, or name a new"):
        Outbox(path, 2**20, HOUR)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    """A path below a file gives a sentence that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match=r"outbox\.db: the outbox cannot be opened"):
        Outbox(tmp_path / "file" / "outbox.db", 2**20, HOUR)


def test_the_view_never_writes(outbox: Outbox, path: Path) -> None:
    """A reader's connection refuses to write, whatever it is asked."""
    view = OutboxView(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        view._db.execute("DELETE FROM outbox")
    view.close()


def test_commits_reach_the_disk(outbox: Outbox) -> None:
    """WAL with synchronous=FULL: the promise that a power cut takes nothing that was stored."""
    assert outbox._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert outbox._db.execute("PRAGMA synchronous").fetchone() == (2,)

"""The outbox's file: what it keeps, what it refuses, and its errors."""

import contextlib
import resource
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from edge.core.messages import stored_body
from edge.storage.outbox.database import PAGE, OutboxDatabase
from edge.storage.outbox.reader import OutboxReader
from edge.storage.outbox.records import OutboxChanges
from edge.storage.outbox.sqlite import OutboxError, connect, wal_of
from tests.support.outbox_rows import HOUR, MB, numbers_in, rows_from
from tests.support.verdicts import a_verdict


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The outbox's path, in a folder that does not exist yet."""
    return tmp_path / "state" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[OutboxDatabase]:
    """An empty outbox with room for some megabytes and an hour."""
    box = OutboxDatabase(path, 8 * MB, HOUR)
    yield box
    box.close()


def test_the_last_number_survives_reopen_and_deletion(path: Path) -> None:
    """The highest number is remembered, also when its row is long gone."""
    for start in (1, 4, 7):
        box = OutboxDatabase(path, 8 * MB, HOUR)
        assert box.last == start - 1
        box.apply(OutboxChanges(rows=rows_from(start, 3)), 1.0)
        assert box.apply(OutboxChanges(accepted=range(start, start + 3)), 1.0).acked == 3
        assert box.file_stats().rows == 0
        box.close()


def test_rows_above_the_stored_last_number_count(path: Path) -> None:
    """A lying disk kept the rows of a commit and lost its state: the rows are known, and the next
    number lies above them."""
    box = OutboxDatabase(path, 8 * MB, HOUR)
    box.apply(OutboxChanges(rows=rows_from(1, 6)), 1.0)
    box.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE state SET last=4, rows=4")
    box = OutboxDatabase(path, 8 * MB, HOUR)
    assert (box.last, box.file_stats().rows) == (6, 6)
    box.apply(OutboxChanges(accepted=range(1, 7)), 1.0)
    assert box.file_stats().rows == 0
    box.close()


def test_rows_wait_in_order_until_accepted(outbox: OutboxDatabase, path: Path) -> None:
    """A batch hands out the oldest rows between two numbers, and what was accepted is gone."""
    rows = rows_from(1, 5)
    assert outbox.apply(OutboxChanges(rows=rows), 1.0).oldest == 1
    view = OutboxReader(path)
    assert view.batch(0, 9) == rows
    assert outbox.apply(OutboxChanges(accepted=[1, 3]), 1.0).oldest == 2
    assert [row.seq for row in view.batch(0, 9)] == [2, 4, 5]
    assert [row.seq for row in view.batch(2, 1)] == [4]
    assert [row.seq for row in view.batch(0, 9, 5)] == [2, 4]
    view.close()


def test_an_unknown_number_is_not_counted(outbox: OutboxDatabase) -> None:
    """Accepting twice, or a row that was dropped, counts once."""
    outbox.apply(OutboxChanges(rows=rows_from(1, 1)), 1.0)
    assert outbox.apply(OutboxChanges(accepted=[1, 1, 99]), 1.0).acked == 1


def test_the_same_row_twice_is_one_and_a_conflict_is_reported(
    outbox: OutboxDatabase, path: Path
) -> None:
    """A repeated commit changes nothing; a number that another verdict has is not
    overwritten, and reported."""
    rows = rows_from(1, 2)
    outbox.apply(OutboxChanges(rows=rows), 1.0)
    assert outbox.apply(OutboxChanges(rows=rows), 1.0).conflicts == 0
    assert outbox.file_stats().rows == 2
    assert outbox.apply(OutboxChanges(rows=rows_from(2, 1, part="other")), 1.0).conflicts == 1
    view = OutboxReader(path)
    assert view.batch(0, 9) == rows
    view.close()


def test_parked_rows_stay_but_are_not_sent(path: Path) -> None:
    """A row the broker refuses is kept aside, and offered again after a restart."""
    box = OutboxDatabase(path, 8 * MB, HOUR)
    box.apply(OutboxChanges(rows=rows_from(1, 2)), 1.0)
    box.apply(OutboxChanges(parked=[(1, "too large")]), 1.0)
    assert numbers_in(path) == [2]
    assert (box.file_stats().parked, box.file_stats().rows) == (1, 2)
    box.close()
    again = OutboxDatabase(path, 8 * MB, HOUR)
    assert numbers_in(path) == [1, 2]
    assert again.file_stats().parked == 0
    again.close()


@pytest.mark.slow
@pytest.mark.parametrize("cap", [256 * 1024, MB])
def test_the_file_stays_under_its_cap(path: Path, cap: int) -> None:
    """At the cap the oldest go, counted; the file with its log is over it by one batch at most."""
    box = OutboxDatabase(path, cap, HOUR)
    batch = 100
    body = len(rows_from(1, 1)[0].body)
    dropped: list[int] = []
    for first in range(1, 6001, batch):
        dropped += box.apply(OutboxChanges(rows=rows_from(first, batch)), 1.0).over_cap
        size = path.stat().st_size + wal_of(path).stat().st_size
        assert size == box.file_stats().bytes
        assert size <= cap + 4 * batch * (body + PAGE // 8)
    assert dropped == list(range(1, len(dropped) + 1))
    assert dropped
    assert numbers_in(path) == list(range(len(dropped) + 1, 6001))
    box.close()


def test_the_newest_stays_under_any_cap(path: Path) -> None:
    """A cap that holds nothing still holds the newest verdict."""
    tiny = OutboxDatabase(path, 1, HOUR)
    tiny.apply(OutboxChanges(rows=rows_from(1, 1, part="x" * 100_000)), 1.0)
    tiny.apply(OutboxChanges(rows=rows_from(2, 1, part="x" * 100_000)), 1.0)
    assert numbers_in(path) == [2]
    tiny.close()


@pytest.mark.slow
def test_the_file_shrinks_after_a_drain(outbox: OutboxDatabase, path: Path) -> None:
    """What an outage has made large becomes small again while commits go on."""
    outbox.apply(OutboxChanges(rows=rows_from(1, 4000)), 1.0)
    large = outbox.file_stats().bytes
    outbox.apply(OutboxChanges(accepted=range(1, 4001)), 1.0)
    for seq in range(4001, 4101):
        outbox.apply(OutboxChanges(rows=rows_from(seq, 1), accepted=[seq - 1]), 1.0)
    outbox.close()
    assert path.stat().st_size < large / 2


def test_the_cap_on_age_drops_the_old(outbox: OutboxDatabase, path: Path) -> None:
    """A verdict older than the limit goes at the next commit; one exactly as old stays."""
    outbox.apply(OutboxChanges(rows=rows_from(1, 1, 10.0)), 10.0)
    outbox.apply(OutboxChanges(rows=rows_from(2, 1, 11.0)), 11.0)
    assert outbox.apply(OutboxChanges(), 11.0 + HOUR).over_age == [1]
    assert numbers_in(path) == [2]
    assert outbox.file_stats().oldest == 11.0
    assert outbox.newest_time == 11.0


def test_a_failed_commit_changes_nothing(outbox: OutboxDatabase, path: Path) -> None:
    """A fault in the middle of a group: none of it, no receipt, no deletion is kept."""
    outbox.apply(OutboxChanges(rows=rows_from(1, 1)), 1.0)
    before = outbox.file_stats().rows
    broken = [("top", "r"), ("top", ["no text"])]
    with pytest.raises(OutboxError):
        outbox.apply(OutboxChanges(rows=rows_from(2, 2), receipts=broken, accepted=[1]), 1.0)  # type: ignore[arg-type]
    view = OutboxReader(path)
    assert (outbox.file_stats().rows, outbox.last) == (before, 1)
    assert [row.seq for row in view.batch(0, 9)] == [1]
    assert not view.is_judged("top", "r")
    view.close()


def test_a_full_disk_is_named_and_heals(outbox: OutboxDatabase, path: Path) -> None:
    """A disk that takes no more gives a sentence, changes nothing, and works again with room."""
    outbox.apply(OutboxChanges(rows=rows_from(1, 1)), 1.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OutboxError, match="cannot be written") as caught:
            outbox.apply(OutboxChanges(rows=rows_from(2, 1, part="x" * 10_000), accepted=[1]), 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.kind == "refused"
    assert str(path) in str(caught.value)
    assert (outbox.file_stats().rows, outbox.last) == (1, 1)
    assert outbox.apply(OutboxChanges(rows=rows_from(2, 1), accepted=[1]), 1.0).acked == 1


@pytest.mark.parametrize("content", [b"not a database at all, " * 400, b"SQLite format 3\0" * 300])
def test_a_torn_file_is_damaged(path: Path, content: bytes) -> None:
    """A file that is no outbox is not touched here, and the error says of which kind it is."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(OutboxError) as caught:
        OutboxDatabase(path, 8 * MB, HOUR)
    assert caught.value.kind == "damaged"
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_newer_file_is_a_sentence(path: Path) -> None:
    """A file of another schema is refused with both fixes, and is not treated as damaged."""
    OutboxDatabase(path, 8 * MB, HOUR).close()
    db = sqlite3.connect(path)
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    db.execute("PRAGMA user_version=9")
    db.execute(f"PRAGMA application_id={mark - 2 + 9}")
    db.close()
    sentence = r"schema 9.*install the newer version, or name a new"
    with pytest.raises(OutboxError, match=sentence) as caught:
        OutboxDatabase(path, 8 * MB, HOUR)
    assert caught.value.kind == "permanent"


@pytest.mark.parametrize("version", [0, 1, 3, 130, 16777218])
def test_a_version_that_nobody_wrote_is_damage(path: Path, version: int) -> None:
    """A flipped bit in the version alone must not end the start: a newer edge-inspect would have
    marked the file twice."""
    OutboxDatabase(path, 8 * MB, HOUR).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={version}")
    db.close()
    with pytest.raises(OutboxError) as caught:
        OutboxDatabase(path, 8 * MB, HOUR)
    assert caught.value.kind == "damaged"


def test_a_place_where_no_file_can_be_is_hopeless(tmp_path: Path) -> None:
    """A path below a file, or a folder in the file's place: only a person can fix that."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for bad in (tmp_path / "file" / "outbox.db", tmp_path / "folder"):
        with pytest.raises(OutboxError, match=f"{bad}: the outbox") as caught:
            OutboxDatabase(bad, 8 * MB, HOUR)
        assert caught.value.kind == "permanent"


def test_a_row_with_a_wrong_checksum_is_never_handed_out(
    outbox: OutboxDatabase, path: Path
) -> None:
    """SQLite has no checksums: one letter that changed in a body is noticed by the reader."""
    outbox.apply(OutboxChanges(rows=rows_from(1, 3)), 1.0)
    db = sqlite3.connect(path)
    db.execute("UPDATE outbox SET body=replace(body, 'fail', 'pass') WHERE seq=2")
    db.execute("UPDATE outbox SET body=cast(body AS BLOB)")
    db.commit()
    db.close()
    view = OutboxReader(path)
    with pytest.raises(OutboxError, match="verdict 2 has a wrong checksum") as caught:
        view.batch(0, 9)
    assert caught.value.kind == "damaged"
    view.close()


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """The connections that outbox and reader open during the test, in order."""
    opened: list[sqlite3.Connection] = []

    def connect_and_note(path: Path) -> sqlite3.Connection:
        opened.append(connect(path))
        return opened[-1]

    for module in ("database", "reader"):
        monkeypatch.setattr(f"edge.storage.outbox.{module}.connect", connect_and_note)
    return opened


def test_the_reader_never_writes(
    outbox: OutboxDatabase, path: Path, connections: list[sqlite3.Connection]
) -> None:
    """A reader's connection refuses every write."""
    view = OutboxReader(path)
    view.batch(0, 1)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connections[-1].execute("DELETE FROM outbox")
    view.close()


def test_commits_reach_the_disk(path: Path, connections: list[sqlite3.Connection]) -> None:
    """WAL with synchronous=FULL: a power cut loses nothing that was stored."""
    box = OutboxDatabase(path, 8 * MB, HOUR)
    (db,) = connections
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    box.close()


_SCHEMA_1 = """
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, stored_at REAL NOT NULL,
    parked TEXT, body BLOB NOT NULL);
CREATE INDEX outbox_parked ON outbox (seq) WHERE parked IS NOT NULL;
CREATE INDEX outbox_stored_at ON outbox (stored_at);
CREATE TABLE judged (camera TEXT NOT NULL, receipt TEXT NOT NULL,
    PRIMARY KEY (camera, receipt)) WITHOUT ROWID;
PRAGMA user_version=1;
"""


def test_a_file_of_the_first_schema_is_taken_over(path: Path) -> None:
    """An older file keeps its verdicts, receipts and numbers; ages restart."""
    path.parent.mkdir()
    bodies = {seq: stored_body(a_verdict(), seq) for seq in (3, 4, 5)}
    db = sqlite3.connect(path)
    db.executescript(_SCHEMA_1)
    for seq, body in bodies.items():
        parked = "too large" if seq == 4 else None
        db.execute("INSERT INTO outbox VALUES (?, 1.79e9, ?, ?)", (seq, parked, body))
    db.execute("INSERT INTO outbox VALUES (9, 1.79e9, NULL, x'00')")
    db.execute("DELETE FROM outbox WHERE seq=9")  # given, and delivered
    db.execute("INSERT INTO judged VALUES ('top', 'a.png|1')")
    db.commit()
    db.close()
    box = OutboxDatabase(path, 8 * MB, HOUR)
    view = OutboxReader(path)
    assert {row.seq: row.body for row in view.batch(0, 9)} == bodies
    assert view.is_judged("top", "a.png|1")
    assert (box.last, box.file_stats().rows) == (9, 3)
    assert box.apply(OutboxChanges(), 10.0).over_age == []
    view.close()
    box.close()
    again = OutboxDatabase(path, 8 * MB, HOUR)
    assert again.last == 9
    again.close()


def steps_of(db: sqlite3.Connection, work: Callable[[], object]) -> int:
    """The number of steps of SQLite's virtual machine for some work; the same in each run."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(step, 1)
    work()
    db.set_progress_handler(None, 1)
    return steps


def test_a_commit_costs_the_same_whatever_waits(
    path: Path, connections: list[sqlite3.Connection]
) -> None:
    """One row stored and one acknowledged: with ten rows in the file and with two thousand."""
    cost = []
    for name, count in (("few", 10), ("many", 2000)):
        box = OutboxDatabase(path.with_name(name), 8 * MB, HOUR)
        box.apply(OutboxChanges(rows=rows_from(1, count)), 1.0)
        work = partial(box.apply, OutboxChanges(rows=rows_from(count + 1, 1), accepted=[1]), 1.0)
        cost.append(steps_of(connections[-1], work))
        box.close()
    assert cost[1] <= cost[0] * 1.1


def test_the_count_of_parked_rows_costs_the_same_for_any_number(
    path: Path, connections: list[sqlite3.Connection]
) -> None:
    """Parked rows are counted when they are parked, not at each commit."""
    cost = []
    for name, count in (("few", 1), ("many", 500)):
        box = OutboxDatabase(path.with_name(name), 8 * MB, HOUR)
        box.apply(OutboxChanges(rows=rows_from(1, 600)), 1.0)
        box.apply(OutboxChanges(parked=[(seq, "too large") for seq in range(1, count + 1)]), 1.0)
        cost.append(steps_of(connections[-1], box.file_stats))
        assert box.file_stats().parked == count
        box.close()
    assert cost[0] == cost[1]


def test_parked_rows_that_go_are_not_counted(path: Path) -> None:
    """Parked twice is parked once; accepted, too old or past the cap, a parked row is gone;
    not after a commit that failed."""
    box = OutboxDatabase(path, MB // 4, HOUR)
    box.apply(OutboxChanges(rows=rows_from(1, 1, 1.0) + rows_from(2, 3, 10.0)), 10.0)
    for _ in range(2):
        box.apply(OutboxChanges(parked=[(seq, "too large") for seq in range(1, 5)]), 10.0)
        assert box.file_stats().parked == 4
    with pytest.raises(OutboxError):
        box.apply(OutboxChanges(accepted=[2], parked=[(3, ["no text"])]), 10.0)  # type: ignore[list-item]
    assert box.file_stats().parked == 4
    assert box.apply(OutboxChanges(accepted=[2]), 10.0).acked == 1
    assert box.file_stats().parked == 3
    assert box.apply(OutboxChanges(), HOUR + 2.0).over_age == [1]
    assert box.file_stats().parked == 2
    dropped = box.apply(OutboxChanges(rows=rows_from(5, 500, HOUR)), HOUR).over_cap
    assert dropped[:2] == [3, 4]
    assert box.file_stats().parked == 0
    box.close()

"""Questions to the history."""

from pathlib import Path
from typing import Any

import pytest

from edge.core.ids import uuid7
from edge.storage import HistoryError, HistoryQuery, HistoryReader, history_path
from edge.storage.history.records import HistoryBody
from tests.edge.storage.history.bodies import a_body, bodies
from tests.edge.storage.history.conftest import Open
from tests.support.verdicts import NOON

KINDS: list[dict[str, Any]] = [
    {"verdict": "pass", "label": "ok"},
    {"verdict": "fail", "label": "scratch", "camera": "left"},
    {"verdict": "review", "label": "dent", "part": "P-7"},
    {"verdict": "error", "label": None, "part": 'P "7" é\\'},
]


@pytest.fixture
def filled(path: Path, open_history: Open) -> HistoryReader:
    """1200 verdicts of four kinds in turn, one a second."""
    some = [HistoryBody(a_body(n, **KINDS[n % 4])) for n in range(1200)]
    open_history().add(some, NOON)
    return HistoryReader(path)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (HistoryQuery(), range(1200)),
        (HistoryQuery(limit=7), range(1193, 1200)),
        (HistoryQuery(verdict="pass"), range(0, 1200, 4)),
        (HistoryQuery(verdict="fail"), range(1, 1200, 4)),
        (HistoryQuery(verdict="error"), range(3, 1200, 4)),
        (HistoryQuery(camera="left"), range(1, 1200, 4)),
        (HistoryQuery(camera="left", verdict="pass"), ()),
        (HistoryQuery(label="dent"), range(2, 1200, 4)),
        (HistoryQuery(part="P-7"), range(2, 1200, 4)),
        (HistoryQuery(part='P "7" é\\'), range(3, 1200, 4)),
        (HistoryQuery(part="P"), ()),
        (HistoryQuery(recipe=1), ()),
        (HistoryQuery(since=NOON + 100, until=NOON + 110), range(100, 110)),
        (HistoryQuery(since=NOON + 1190), range(1190, 1200)),
        (HistoryQuery(until=NOON), ()),
        (HistoryQuery(since=NOON + 100, until=NOON + 110, verdict="fail"), (101, 105, 109)),
        (HistoryQuery(before_seq=5), range(5)),
        (HistoryQuery(before_seq=1000, limit=600), range(400, 1000)),
        (HistoryQuery(limit=0), ()),
    ],
)
def test_query(filled: HistoryReader, query: HistoryQuery, expected: Any) -> None:
    """Each question finds its verdicts, the newest first."""
    found = [row.body["seq"] for row in filled.verdicts(query)]
    assert found == sorted(expected, reverse=True)


def test_by_recipe(path: Path, open_history: Open) -> None:
    """A recipe is found by its number."""
    some = [
        HistoryBody(a_body(n)[:-1] + f',"recipe":{{"number":{n % 2},"name":"M"}}}}'.encode())
        for n in range(1, 9)
    ]
    open_history().add(some, NOON)
    found = HistoryReader(path).verdicts(HistoryQuery(recipe=1))
    assert [row.body["seq"] for row in found] == [7, 5, 3, 1]


def test_by_id(filled: HistoryReader) -> None:
    """A verdict is found by its id; an unknown id, and what is none, find nothing."""
    rows = list(filled.verdicts(HistoryQuery()))
    assert filled.by_id(rows[77].body["id"]) == rows[77]
    assert filled.by_id(uuid7()) is None
    assert filled.by_id("no id") is None


def test_by_id_whenever_it_was_made(path: Path, open_history: Open) -> None:
    """An id is found though it was made days after the picture, or is no UUIDv7."""
    late, odd = uuid7(round((NOON + 1e7) * 1000)), "4711"
    open_history().add([HistoryBody(a_body(1, id=late)), HistoryBody(a_body(2, id=odd))], NOON)
    reader = HistoryReader(path)
    for name in (late, odd):
        row = reader.by_id(name)
        assert row is not None
        assert row.body["id"] == name


def test_by_prefix(filled: HistoryReader) -> None:
    """Eight digits or more find the verdicts whose ids begin so, at most two."""
    name = next(filled.verdicts(HistoryQuery())).body["id"]
    assert [row.body["id"] for row in filled.by_prefix(name[:18])] == [name]
    assert [row.body["id"] for row in filled.by_prefix(name.replace("-", "").upper())] == [name]
    assert len(filled.by_prefix(name[:8])) == 2
    assert filled.by_prefix(name[:7]) == []
    assert filled.by_prefix("not hexadecimal") == []


def test_reads_while_it_is_written(path: Path, open_history: Open) -> None:
    """A question that is read slowly sees what it had begun with, and blocks no commit."""
    database = open_history()
    database.add(bodies(1, 1000), NOON)
    rows = HistoryReader(path).verdicts(HistoryQuery())
    first = next(rows)
    database.add(bodies(1001, 1100), NOON)
    assert [first.seq, *(row.seq for row in rows)] == list(range(1000, 0, -1))


def test_a_missing_file_is_an_empty_history(path: Path) -> None:
    """Before the first verdict there is nothing to read, and no file is made."""
    reader = HistoryReader(path)
    assert list(reader.verdicts(HistoryQuery())) == []
    assert reader.by_id(uuid7()) is None
    assert reader.by_prefix("0123456789") == []
    assert reader.trend(0, 1e9) == []
    assert not path.exists()


def test_reads_from_a_folder_that_it_cannot_write(path: Path, open_history: Open) -> None:
    """Whoever may only read sees the history of a stopped daemon."""
    database = open_history()
    database.add(bodies(1, 3), NOON)
    database.close()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert len(list(HistoryReader(path).verdicts(HistoryQuery()))) == 3
    finally:
        path.parent.chmod(0o700)


def test_a_damaged_file_is_said(path: Path, open_history: Open) -> None:
    """The sentence names the file, and whoever can repair it is told."""
    database = open_history()
    database.add(bodies(1, 2000), NOON)
    database.close()
    data = bytearray(path.read_bytes())
    data[20_000:120_000] = bytes(100_000)
    path.write_bytes(data)
    told: list[HistoryError] = []
    with pytest.raises(HistoryError, match=r"history.db: the history cannot be read") as caught:
        list(HistoryReader(path, told.append).verdicts(HistoryQuery()))
    assert caught.value.kind == "damaged"
    assert told == [caught.value]


def test_a_flipped_byte_leaves_out_one_verdict(path: Path, open_history: Open) -> None:
    """A verdict whose checksum is wrong is left out and counted; the others are right."""
    database = open_history()
    given_bodies = bodies(1, 50)
    database.add(given_bodies, NOON)
    database.close()
    data = bytearray(path.read_bytes())
    place = data.index(round((NOON + 25) * 1000).to_bytes(6, "big"))
    data[place + 5] ^= 1
    path.write_bytes(data)
    reader = HistoryReader(path)
    assert [row.seq for row in reader.verdicts(HistoryQuery())] == [
        n for n in range(50, 0, -1) if n != 25
    ]
    assert reader.damaged == 1


@pytest.mark.parametrize(
    ("outbox", "history"), [("outbox.db", "history.db"), ("line2.db", "line2.history.db")]
)
def test_each_outbox_has_its_history(outbox: str, history: str) -> None:
    """Two daemons in one folder do not share a history."""
    assert history_path(Path("/state") / outbox) == Path("/state") / history

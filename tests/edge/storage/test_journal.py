"""The journal: each change once, on the disk, in a chain that shows every later edit."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.storage.journal import (
    START,
    Change,
    Journal,
    JournalEntry,
    journal_files,
    read_journal,
    verify_journal,
)

NOON = 1_790_000_000.0


def filled(path: Path, count: int, max_bytes: int = 10**6) -> Journal:
    """A journal with this number of recipe changes."""
    journal = Journal(path, lambda: NOON, max_bytes=max_bytes)
    for number in range(count):
        journal.add("recipe", "mqtt: plc", number, number + 1, "top")
    return journal


def test_an_entry_says_all(tmp_path: Path) -> None:
    """When, who, what, from which to which; listeners get it when it is on the disk."""
    path, heard = tmp_path / "journal.jsonl", list[JournalEntry]()
    journal = Journal(path, lambda: NOON, on_entry=heard.append)
    journal.add("recipe", "mqtt: plc", None, {"number": 7, "name": "cap"}, "top")
    (entry,) = read_journal(path)
    assert entry == {
        "schema": "edge-inspect/journal/1",
        "at": "2026-09-21T14:13:20.000Z",
        "kind": "recipe",
        "by": "mqtt: plc",
        "subject": "top",
        "before": None,
        "after": {"number": 7, "name": "cap"},
        "previous": START,
    }
    assert [one.after for one in heard] == [{"number": 7, "name": "cap"}]


def test_the_chain_goes_on_in_another_process_and_file(tmp_path: Path) -> None:
    """A new journal object, and each new file, continue the chain; the oldest files go."""
    path = tmp_path / "journal.jsonl"
    for _ in range(3):
        filled(path, 20, max_bytes=1500)
    assert len(journal_files(path)) == 5
    report = verify_journal(path)
    assert report.problem is None
    assert report.entries == len(list(read_journal(path))) < 60


@given(st.data())
@settings(max_examples=60)
def test_every_edit_of_the_past_is_found(data: st.DataObject) -> None:
    """A byte that is changed, or a line that is removed, doubled or exchanged, breaks the chain,
    unless it is the last line, which nothing follows yet."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        filled(path, 8)
        lines = path.read_bytes().splitlines(keepends=True)
        index = data.draw(st.integers(0, 6))
        kind = data.draw(st.sampled_from(["byte", "remove", "double", "exchange"]))
        if kind == "byte":
            at = data.draw(st.integers(0, len(lines[index]) - 2))
            line = bytearray(lines[index])
            line[at] ^= data.draw(st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
            lines[index] = bytes(line)
        elif kind == "remove" and index > 0:  # the first may be of a file that is gone
            del lines[index]
        elif kind == "double":
            lines.insert(index, lines[index])
        else:
            lines[index], lines[index + 1] = lines[index + 1], lines[index]
        path.write_bytes(b"".join(lines))
        assert verify_journal(path).problem is not None


def test_a_torn_line_of_a_power_cut_is_replaced(tmp_path: Path) -> None:
    """A last line without its end was never confirmed: the next entry takes its place."""
    path = tmp_path / "journal.jsonl"
    filled(path, 3)
    with path.open("ab") as file:
        file.write(b'{"schema":"edge-in')
    assert verify_journal(path).problem is not None
    filled(path, 1)
    assert (verify_journal(path).problem, verify_journal(path).entries) == (None, 4)


def test_several_changes_are_one_write(tmp_path: Path) -> None:
    """`add_all` keeps their order and chains them."""
    path = tmp_path / "journal.jsonl"
    Journal(path, lambda: NOON).add_all(
        [Change("recipe", "trigger", "top", n, n + 1) for n in range(5)]
    )
    assert [one["before"] for one in read_journal(path)] == [0, 1, 2, 3, 4]
    assert verify_journal(path).problem is None


def test_a_journal_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    """A folder, or a link, in its place: nothing is raised, nothing is followed, and it says so.
    With room again the next entry is written."""
    path = tmp_path / "journal.jsonl"
    path.symlink_to(tmp_path / "elsewhere")
    journal = Journal(path, lambda: NOON)
    journal.add("config", "SIGHUP", "a", "b")
    assert journal.fault
    assert not (tmp_path / "elsewhere").exists()
    path.unlink()
    journal.add("config", "SIGHUP", "a", "b")
    assert journal.fault == ""
    assert len(list(read_journal(path))) == 1


def test_no_journal_yet(tmp_path: Path) -> None:
    """Without a file there are no entries, and the chain is whole."""
    report = verify_journal(tmp_path / "journal.jsonl")
    assert (report.entries, report.problem) == (0, None)


def test_a_pipe_in_its_place_does_not_block(tmp_path: Path) -> None:
    """Reading refuses what is no regular file."""
    path = tmp_path / "journal.jsonl"
    os.mkfifo(path)
    with pytest.raises(OSError, match="no regular file"):
        verify_journal(path)


def test_lines_are_json(tmp_path: Path) -> None:
    """Each line is one JSON object in UTF-8, with names as they are."""
    path = tmp_path / "journal.jsonl"
    Journal(path, lambda: NOON).add("recipe", "mqtt: 김", 1, 2, "top")
    assert "김" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_bytes())["by"] == "mqtt: 김"

"""Parts that are open when the process is killed are known to the next one."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.messages import stored_body
from edge.core.part import Part
from edge.core.verdict import Verdict
from edge.storage.part_journal import PartJournal
from tests.support.verdicts import NOON, a_part, a_verdict


def part(number: int, camera: str = "top", at: float = NOON) -> Part:
    """The part with this number."""
    return a_part(number=number, camera=camera, at=at, name=f"P-{number}")


def verdict(of: Part, region: str | None = None) -> Verdict:
    """A verdict on a part."""
    return a_verdict(camera=of.camera, trigger=of, region=region)


def numbers(parts: PartJournal) -> list[int]:
    """The open parts."""
    return [one.part.number for one in parts.still_open()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the journal."""
    return tmp_path / "outbox.db.parts"


def test_what_was_open_is_read_back(path: Path) -> None:
    """A process that ends without a word leaves every open part, with all that its verdict says
    of it; those with a stored verdict are done."""
    parts = PartJournal(path)
    for number in range(4):
        parts.note(part(number), 1)
    parts.stored([verdict(part(1)), a_verdict()], [7, 8])
    parts.note(part(9), 1)
    left = PartJournal(path).still_open()
    assert [one.part.number for one in left] == [0, 2, 3, 9]
    assert [one.since for one in left] == [0, 0, 0, 8]
    wanted = part(9)
    for name in ("camera", "kind", "name", "transaction", "at", "frames"):
        assert getattr(left[-1].part, name) == getattr(wanted, name)


def test_a_part_of_several_regions_is_done_with_the_last(path: Path) -> None:
    """Which regions have theirs is known after a kill too."""
    parts = PartJournal(path)
    parts.note(part(1), 2)
    parts.stored([verdict(part(1), "left")], [1])
    (one,) = PartJournal(path).still_open()
    assert one.stored_regions == {"left"}
    parts.stored([verdict(part(1), "right")], [2])
    assert PartJournal(path).still_open() == []


def test_the_same_number_in_another_life_is_another_part(path: Path) -> None:
    """Parts are counted from 1 in every process: the time of the trigger tells them apart."""
    parts = PartJournal(path)
    parts.note(part(1), 1)
    parts.stored([verdict(part(1, at=NOON + 60))], [1])
    assert numbers(parts) == [1]


def test_what_the_outbox_holds_is_told(path: Path) -> None:
    """A kill between commit and note: the outbox itself says which parts are done."""
    PartJournal(path).note(part(1), 1)
    parts = PartJournal(path)
    parts.mark_stored(
        [b"no json", b"{}", stored_body(a_verdict(), 5), stored_body(verdict(part(1)), 6)]
    )
    assert parts.still_open() == []


def test_an_ended_process_leaves_no_file(path: Path) -> None:
    """Without triggers no file is made, and one with nothing open goes at the end."""
    PartJournal(path).close()
    assert not path.exists()
    parts = PartJournal(path)
    parts.note(part(1), 1)
    assert path.exists()
    parts.stored([verdict(part(1))], [1])
    parts.close()
    assert list(path.parent.iterdir()) == []


def test_the_file_stays_small(path: Path) -> None:
    """Past a bound it is written again, with the open parts only."""
    parts = PartJournal(path, compact_bytes=4096)
    parts.note(part(0), 1)
    for number in range(1, 500):
        parts.note(part(number), 1)
        parts.stored([verdict(part(number))], [number])
        assert path.stat().st_size < 5000
    assert numbers(PartJournal(path)) == [0]


def test_a_folder_that_refuses_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A part is taken all the same; once the folder takes it, all that is open is noted."""
    path = tmp_path / "folder" / "parts"
    path.parent.write_text("in the way")
    parts = PartJournal(path)
    for number in range(3):
        parts.note(part(number), 1)
    assert parts.fault
    assert sum("cannot be noted" in record.message for record in caplog.records) == 1
    path.parent.unlink()
    parts.note(part(3), 1)
    assert parts.fault == ""
    assert numbers(PartJournal(path)) == [0, 1, 2, 3]


@settings(max_examples=40)
@given(st.integers(0, 400), st.binary(max_size=8))
def test_a_torn_file_never_stops_the_start(cut: int, garbage: bytes) -> None:
    """Whatever a power cut leaves is read as far as it goes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parts"
        parts = PartJournal(path)
        for number in range(3):
            parts.note(part(number), 1)
        whole = path.read_bytes()
        path.write_bytes(whole[: min(cut, len(whole))] + garbage)
        lines = whole[:cut].count(b"\n")
        found = numbers(PartJournal(path))
        assert found[:lines] == list(range(lines))
        parts.close()


def test_a_killed_process_has_noted_all(path: Path) -> None:
    """`kill -9` right after the last part was noted: the kernel has every one."""
    child = os.fork()
    if child == 0:
        parts = PartJournal(path)
        for number in range(50):
            parts.note(part(number), 1)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert numbers(PartJournal(path)) == list(range(50))


def test_where_it_is_kept(tmp_path: Path) -> None:
    """In systemd's runtime directory, else beside the outbox."""
    outbox = tmp_path / "outbox.db"
    assert PartJournal.beside(outbox, None).path == tmp_path / "outbox.db.parts"
    assert PartJournal.beside(outbox, "/run/a:/run/b").path == Path("/run/a/outbox.db.parts")

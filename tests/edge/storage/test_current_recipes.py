"""The current recipes go on after a restart, whatever ended the last process."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.storage import CurrentRecipes


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    """Also after `kill -9`, which flushes and closes nothing."""
    outbox = tmp_path / "state" / "outbox.db"
    first = CurrentRecipes(outbox)
    assert first.all() == {}
    for number in (7, 8, 9):
        first.note("top", number)
    first.note("side", 0)
    assert CurrentRecipes(outbox).all() == {"top": 9, "side": 0}
    first.close()
    assert CurrentRecipes(outbox).all() == {"top": 9, "side": 0}


@given(changes=st.lists(st.integers(0, 65_535), min_size=1, max_size=6), torn=st.integers(1, 200))
def test_a_torn_record_leaves_the_one_before(
    changes: list[int], torn: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """When the last write is torn anywhere, the number before it counts."""
    outbox = tmp_path_factory.mktemp("torn") / "outbox.db"
    current = CurrentRecipes(outbox)
    for number in changes[:-1]:
        current.note("top", number)
    file = outbox.with_name("outbox.db.recipes")
    before = file.read_bytes() if file.exists() else b""
    current.note("top", changes[-1])
    after = file.read_bytes()
    first = next((i for i, byte in enumerate(after) if before[i : i + 1] != bytes([byte])), None)
    if first is None:
        return
    file.write_bytes(after[: first + torn % 20] + before[first + torn % 20 :])
    found = CurrentRecipes(outbox).all().get("top")
    assert found in (changes[-1], changes[-2] if len(changes) > 1 else None)


def test_a_foreign_file_is_not_touched(tmp_path: Path) -> None:
    """A file of another program, or a link, stays as it is; the change counts, and it is a fault
    until the file can be written."""
    outbox, file = tmp_path / "outbox.db", tmp_path / "outbox.db.recipes"
    file.write_text("shopping list")
    current = CurrentRecipes(outbox)
    current.note("top", 7)
    assert current.all() == {"top": 7}
    assert "another program" in current.fault
    assert file.read_text() == "shopping list"
    file.unlink()
    current.note("top", 8)
    assert current.fault == ""
    assert CurrentRecipes(outbox).all() == {"top": 8}

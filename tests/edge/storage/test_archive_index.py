"""The archive's folders: what they hold is known, and neither the thousandth picture nor the
hundred thousandth costs more than the first."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.storage import archive as archive_module
from edge.storage.archive_index import ArchiveIndex
from tests.support.archives import archive, keep
from tests.support.frames import frame
from tests.support.verdicts import verdict

DAY = "2023-11-14"  # of the verdicts of tests.edge.conftest
MB = 2**20
A_MB = 256  # pictures of one block


def name_of(number: int) -> str:
    """Of a picture; names rise with the number."""
    return f"fail-top-{verdict('fail', number).id}.jpg"


def filled(folder: Path, count: int, day: str = DAY) -> Path:
    """A folder with `count` pictures of one block each, numbered from 0."""
    (folder / day).mkdir(parents=True)
    for number in range(count):
        (folder / day / name_of(number)).write_bytes(b"x")
    return folder


def counted(folder: Path, max_bytes: float = MB) -> ArchiveIndex:
    """Shelves that know what is there."""
    index = ArchiveIndex(folder, max_bytes)
    for _ in index.count():
        pass
    return index


def add(index: ArchiveIndex, folder: Path, number: int, day: str = DAY) -> None:
    """One more picture of one block."""
    path = folder / day / name_of(number)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    index.added(path, 1)


def names(folder: Path, day: str = DAY) -> list[str]:
    """Names of the pictures, the oldest first."""
    return sorted(path.name for path in (folder / day).iterdir())


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often a folder was read."""
    found: list[str] = []

    def noted(real: Callable[..., Any]) -> Callable[..., Any]:
        def look(*arguments: Any) -> Any:
            found.append(str(arguments))
            return real(*arguments)

        return look

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, noted(getattr(os, name)))
    return found


def test_a_picture_past_the_budget_does_not_read_the_folder(
    tmp_path: Path, looks: list[str]
) -> None:
    """At the budget each new picture deletes the oldest; the folder is read once for many."""
    folder = filled(tmp_path / "kept", A_MB)
    index = counted(folder)
    looks.clear()
    for number in range(A_MB, A_MB + 100):
        add(index, folder, number)
    assert len(looks) <= 2
    assert names(folder) == [name_of(number) for number in range(100, A_MB + 100)]


def test_a_search_does_not_read_the_folder(tmp_path: Path, looks: list[str]) -> None:
    """By its id a picture is found, or known to be missing, without a look at all the others."""
    folder = filled(tmp_path / "kept", 300)
    index = counted(folder)
    looks.clear()
    for number, there in ((0, True), (299, True), (300, False)):
        found = [path for path in index.find([DAY], verdict("fail", number).id) if path.exists()]
        assert [path.name for path in found] == ([name_of(number)] if there else [])
    assert looks == []


def test_a_picture_of_another_camera_is_found_too(tmp_path: Path) -> None:
    """Cameras that were there before a start, or came after it, whatever they are called."""
    folder = filled(tmp_path / "kept", 1)
    (folder / DAY / name_of(7).replace("fail-top", "review-side-2")).write_bytes(b"x")
    index = counted(folder)
    later = folder / DAY / name_of(8).replace("fail-top", "pass-new")
    later.write_bytes(b"x")
    index.added(later, 1)
    for number in (0, 7, 8):
        wanted = verdict("fail", number).id
        assert sum(path.exists() for path in index.find([DAY], wanted)) == 1


@pytest.mark.slow
def test_what_is_remembered_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    """A box keeps a hundred thousand pictures, in days; it remembers the days."""
    folder = filled(tmp_path / "kept", 3000)
    tracemalloc.start()
    try:
        index = counted(folder)
        remembered, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert index.counted
    assert remembered < 3000 * 10


def test_the_first_picture_waits_for_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In front of a large archive the first picture is written while the old ones are still being
    counted. When all are counted the budget holds."""
    folder = filled(tmp_path / "kept", 4 * A_MB)
    at_first: list[bool] = []

    class NotingIndex(ArchiveIndex):
        def added(self, path: Path, size: int) -> None:
            at_first.append(self.counted)
            super().added(path, size)

    monkeypatch.setattr(archive_module, "ArchiveIndex", NotingIndex)
    kept = archive(folder, max_mb=1)
    keep(kept, [(frame(red=200), verdict("fail", 4 * A_MB))])
    assert at_first == [False]
    assert kept.counted
    assert len(names(folder)) <= A_MB
    assert names(folder)[-1] == name_of(4 * A_MB)


def test_a_picture_is_counted_once(tmp_path: Path) -> None:
    """One that is written while the count goes on is not counted a second time: nothing is deleted
    below the budget."""
    folder = filled(tmp_path / "kept", A_MB - 10, "2023-11-13")
    index = ArchiveIndex(folder, MB)
    for number in range(900, 910):  # exactly the budget
        add(index, folder, number)
    for _ in index.count():
        pass
    assert len(names(folder, "2023-11-13")) == A_MB - 10
    add(index, folder, 910)
    assert names(folder, "2023-11-13")[0] == name_of(1)
    assert len(names(folder, "2023-11-13")) == A_MB - 11


def test_what_a_person_deletes_makes_room(tmp_path: Path) -> None:
    """After another program deletes pictures, none are deleted until the budget is full again."""
    folder = filled(tmp_path / "kept", A_MB)
    index = counted(folder)
    for number in range(50, 150):
        (folder / DAY / name_of(number)).unlink()
    for number in range(A_MB, A_MB + 100):
        add(index, folder, number)
    assert len(names(folder)) == A_MB
    add(index, folder, A_MB + 100)
    assert len(names(folder)) == A_MB
    assert names(folder)[0] == name_of(1)


def test_days_go_from_the_eldest_and_what_is_no_picture_stays(tmp_path: Path) -> None:
    """An emptied day goes, unless something else is in it; a folder is no picture, nor is a link to
    nowhere."""
    folder = filled(tmp_path / "kept", 2, "2023-11-12")
    filled(tmp_path / "kept", 2, "2023-11-13")
    (folder / "2023-11-13" / "note.txt").touch()
    (folder / "2023-11-13" / name_of(9)).symlink_to(tmp_path / "nowhere")
    (folder / "2023-11-13" / "0.jpg").mkdir()
    index = counted(folder, 4096)
    add(index, folder, 5)
    assert sorted(path.name for path in folder.iterdir()) == ["2023-11-13", DAY]
    assert names(folder, "2023-11-13") == ["0.jpg", name_of(9), "note.txt"]
    assert names(folder) == [name_of(5)]

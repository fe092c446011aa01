"""The archive's folders: what they hold is known, and neither the thousandth picture nor the
hundred thousandth costs more than the first."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config import ArchiveConfig
from edge.storage.evidence import archive as archive_module
from edge.storage.evidence.index import EvidenceIndex
from edge.storage.evidence.limits import EvidenceLimits
from edge.storage.evidence.names import read_name
from edge.storage.evidence.reader import EvidenceReader
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


class Limited:
    """An index with its limits, over existing files."""

    def __init__(self, folder: Path, max_bytes: float = MB) -> None:
        """Counts nothing yet."""
        config = ArchiveConfig(enabled=True, path=folder, min_free_mb=0)
        self.index = EvidenceIndex(folder, lambda _id: False)
        limit = config.model_copy(update={"max_mb": max_bytes / MB})
        self.limits = EvidenceLimits(limit, self.index)

    def count(self) -> None:
        """Counts all files."""
        for _ in self.index.count(sweep=True):
            pass

    def add(self, folder: Path, number: int, day: str = DAY) -> None:
        """One more picture of one block."""
        path = folder / day / name_of(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        found = read_name(path.name)
        assert found is not None
        self.index.added(path.parent, found.camera, found.stem, 4096)
        if self.index.counted:
            self.limits.enforce(0.0)


def counted(folder: Path, max_bytes: float = MB) -> Limited:
    """An index that knows what is there."""
    found = Limited(folder, max_bytes)
    found.count()
    return found


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
        index.add(folder, number)
    assert len(looks) <= 2
    assert names(folder) == [name_of(number) for number in range(100, A_MB + 100)]


def test_a_search_does_not_read_the_folder(tmp_path: Path, looks: list[str]) -> None:
    """By its id a picture is found, or known to be missing, without a look at all the others."""
    folder = filled(tmp_path / "kept", 300)
    (folder / DAY / name_of(7_000).replace("fail-top", "review-side-2")).write_bytes(b"x")
    index = counted(folder).index
    looks.clear()
    for number, there in ((0, True), (299, True), (300, False), (7_000, True)):
        found = EvidenceReader(folder).find(verdict("fail", number).id, index.cameras)
        assert (found is not None) == there
    assert len(looks) == 4  # the names of the day folders


@pytest.mark.slow
def test_what_is_remembered_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    """A box keeps a hundred thousand pictures, in days; it remembers the days."""
    folder = filled(tmp_path / "kept", 3000)
    tracemalloc.start()
    try:
        index = counted(folder).index
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

    class NotingIndex(EvidenceIndex):
        def added(self, folder: Path, camera: str, stem: str, size: int) -> None:
            at_first.append(self.counted)
            super().added(folder, camera, stem, size)

    monkeypatch.setattr(archive_module, "EvidenceIndex", NotingIndex)
    kept = archive(folder, max_mb=1)
    keep(kept, [(frame(red=200), verdict("fail", 4 * A_MB))])
    assert at_first == [False]
    assert kept.counted
    assert len(names(folder)) <= A_MB
    assert names(folder)[-1] == name_of(4 * A_MB).replace(".jpg", ".png")


def test_a_picture_is_counted_once(tmp_path: Path) -> None:
    """One that is written while the count goes on is not counted a second time: nothing is deleted
    below the budget."""
    folder = filled(tmp_path / "kept", A_MB - 10, "2023-11-13")
    index = Limited(folder)
    for number in range(900, 910):  # exactly the budget
        index.add(folder, number)
    index.count()
    assert len(names(folder, "2023-11-13")) == A_MB - 10
    index.add(folder, 910)
    assert names(folder, "2023-11-13")[0] == name_of(1)
    assert len(names(folder, "2023-11-13")) == A_MB - 11


def test_what_a_person_deletes_makes_room(tmp_path: Path) -> None:
    """After another program deletes pictures, none are deleted until the budget is full again."""
    folder = filled(tmp_path / "kept", A_MB)
    index = counted(folder)
    for number in range(50, 150):
        (folder / DAY / name_of(number)).unlink()
    for number in range(A_MB, A_MB + 100):
        index.add(folder, number)
    assert len(names(folder)) == A_MB
    index.add(folder, A_MB + 100)
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
    index.add(folder, 5)
    assert sorted(path.name for path in folder.iterdir()) == ["2023-11-13", DAY]
    assert names(folder, "2023-11-13") == ["0.jpg", name_of(9), "note.txt"]
    assert names(folder) == [name_of(5)]

"""A process that is killed at any step of a write or a delete leaves neither an orphan picture nor
an orphan record after the next start."""

import contextlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.ids import uuid7
from edge.core.verdict import Verdict
from edge.storage.evidence.files import delete_evidence, listed, swept, write_evidence
from edge.storage.evidence.names import read_name
from tests.support.archives import archive, keep
from tests.support.frames import frame
from tests.support.verdicts import a_verdict

NOON = 1_790_000_000.0
CALLS = ("open", "write", "fsync", "rename", "unlink")


class Killed(BaseException):
    """The process ends here."""


class KillAt:
    """The kernel's calls that change files; the process is killed before one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, step: int) -> None:
        self._left = step
        for name in CALLS:
            patch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise Killed
            return real(*arguments, **options)

        return call


def files_of(folder: Path) -> list[str]:
    """Names of all files but the folder's mark."""
    return sorted(p.name for p in folder.iterdir() if p.name != ".order")


def orphans(folder: Path) -> list[str]:
    """Files without the others of their record."""
    names = files_of(folder)
    stems = {found.stem for name in names if (found := read_name(name)) is not None}
    lost = [name for name in names if read_name(name) is None]
    for stem in stems:
        mine = [name for name in names if name.startswith(stem)]
        if len(mine) != 3:
            lost += mine
    return lost


def write(folder: Path, stem: str) -> None:
    """A record with two pictures."""
    pictures = [(f"{stem}.jpg", b"one"), (f"{stem}.2.png", b"two")]
    write_evidence(folder, (f"{stem}.json", b"{}"), pictures)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(write_step=st.integers(0, 30), delete_step=st.integers(0, 12), sweep_step=st.integers(0, 8))
def test_killed_at_any_step(write_step: int, delete_step: int, sweep_step: int) -> None:
    """Of a write, of a delete, and of the sweep after it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        stems = [f"fail-top-{uuid7(1_790_000_000_000 + n)}" for n in range(3)]
        write(folder, stems[0])
        write(folder, stems[1])
        for step, action in (
            (write_step, lambda: write(folder, stems[2])),
            (delete_step, lambda: delete_evidence(folder, stems[1])),
            (sweep_step, lambda: list(swept(folder))),
        ):
            with pytest.MonkeyPatch.context() as patch:
                KillAt(patch, step)
                with contextlib.suppress(Killed):
                    action()
        list(swept(folder))
        assert orphans(folder) == []
        assert {found.stem for found, _ in listed(folder)} >= {stems[0]}


def test_the_sweep_leaves_pictures_of_earlier_versions_and_other_files(tmp_path: Path) -> None:
    """A picture without a record is whole."""
    stem = f"fail-top-{uuid7()}"
    others = [f"{stem}.jpg", "notes.json", f"{stem[:-1]}.json", ".x.part", "IMG_1.2.jpg"]
    for name in others:
        (tmp_path / name).write_bytes(b"x")
    list(swept(tmp_path))
    assert files_of(tmp_path) == sorted(others)


def test_a_start_sweeps_and_a_reload_does_not(tmp_path: Path) -> None:
    """While an old archive still writes, a record may stand there without its picture yet."""

    def fail() -> Verdict:
        return a_verdict(captured_at=NOON, id=uuid7(int(NOON * 1000)))

    keep(archive(tmp_path), [(frame(), fail())])
    (day,) = tmp_path.iterdir()
    orphan = day / f"fail-top-{uuid7(int(NOON * 1000))}.json"
    orphan.write_text("{}")
    keep(archive(tmp_path, parts={"first": False}), [(frame(), fail())])
    assert orphan.exists()
    keep(archive(tmp_path), [(frame(), fail())])
    assert not orphan.exists()

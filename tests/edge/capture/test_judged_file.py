"""A judged file is moved whole, and no other file is ever overwritten."""

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.capture.sources import judged_file
from edge.capture.sources.judged_file import move_file


class _OldKernel:
    """A C library whose kernel does not know renameat2."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def renameat2(self, *_: Any) -> int:
        """As on NFS."""
        ctypes.set_errno(errno.EINVAL)
        return -1


@pytest.fixture(params=["renameat2", "old-kernel"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to rename."""
    if request.param == "old-kernel":
        monkeypatch.setattr(ctypes, "CDLL", _OldKernel)
    return str(request.param)


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system."""
    with TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def drop(path: Path, content: str, time: int = 1) -> Path:
    """A file with this time, ns."""
    path.write_text(content)
    os.utime(path, ns=(time, time))
    return path


def contents(folder: Path) -> list[str]:
    """Of all entries."""
    return sorted(entry.read_text() for entry in folder.iterdir())


_NAMES = st.sampled_from(["a.png", "a-1.png", "a-1-2.png", "b", ".hidden.png"])


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves=st.lists(st.tuples(_NAMES, st.integers(1, 2)), max_size=12))
def test_no_file_is_ever_overwritten(kernel: str, moves: list[tuple[str, int]]) -> None:
    """Names and times that come again: each content is still there once."""
    with TemporaryDirectory() as name:
        source, target = Path(name) / "in", Path(name) / "out"
        source.mkdir()
        for number, (file, time) in enumerate(moves):
            move_file(drop(source / file, str(number), time), target)
            assert not list(source.iterdir())
        if moves:
            assert contents(target) == sorted(str(number) for number in range(len(moves)))


def test_another_program_takes_a_free_name(
    kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that was free when it was looked for."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path = drop(tmp_path / "in" / "a.png", "mine")
    real = judged_file.rename_new

    def taken(source: Path, target: Path) -> None:
        if target.name == "a.png":
            target.write_text("theirs")
        real(source, target)

    monkeypatch.setattr(judged_file, "rename_new", taken)
    move_file(path, tmp_path / "out")
    assert contents(tmp_path / "out") == ["mine", "theirs"]


def test_to_another_disk(kernel: str, tmp_path: Path, other_disk: Path) -> None:
    """Copied under another name, flushed, renamed; the time stays."""
    for number in range(3):
        move_file(drop(tmp_path / "a.png", str(number), 10**18), other_disk)
    assert contents(other_disk) == ["0", "1", "2"]
    assert {entry.stat().st_mtime_ns for entry in other_disk.iterdir()} == {10**18}
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_file_where_it_is(
    kernel: str, tmp_path: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half file, no empty one."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    path = drop(tmp_path / "a.png", "x")
    with pytest.raises(OSError, match="full"):
        move_file(path, other_disk)
    assert path.read_text() == "x"
    assert not list(other_disk.iterdir())


def test_into_its_own_folder(tmp_path: Path) -> None:
    """A folder that became the source after the start is refused."""
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    path = drop(tmp_path / "in" / "a.png", "x")
    with pytest.raises(OSError, match="under another name"):
        move_file(path, tmp_path / "link")
    assert path.exists()

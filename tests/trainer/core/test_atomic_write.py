"""Folders are written atomically."""

from pathlib import Path

import pytest

from edge.core.errors import DatasetError
from trainer.core.atomic_write import check_free, write_folder


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    """The target has no file until it is complete; it replaces an empty folder."""
    target = tmp_path / "deep" / "set"
    target.mkdir(parents=True)

    def fill(half: Path) -> int:
        assert not any(target.iterdir())
        (half / "one").write_text("1")
        return 7

    assert write_folder(target, fill) == 7
    assert [path.name for path in target.iterdir()] == ["one"]
    assert [path.name for path in target.parent.iterdir()] == ["set"]
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    """A full disk and Ctrl-C leave no folder behind; a full disk gives one sentence."""
    target = tmp_path / "set"

    def fill(half: Path) -> None:
        (half / "one").write_text("1")
        raise error

    with pytest.raises((DatasetError, KeyboardInterrupt)) as caught:
        write_folder(target, fill)
    if isinstance(error, OSError):
        assert str(caught.value).startswith(f"{target}: No space left on device; check the disk")
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_never_overwritten(tmp_path: Path) -> None:
    """A file and a non-empty folder are refused; an absent and an empty folder are free."""
    check_free(tmp_path / "new", "")
    (tmp_path / "empty").mkdir()
    check_free(tmp_path / "empty", "")
    (tmp_path / "empty" / "mine").touch()
    for name in ("empty", "empty/mine"):
        with pytest.raises(DatasetError, match=f"{name}: is there already; give another folder"):
            check_free(tmp_path / name, "; give another folder")

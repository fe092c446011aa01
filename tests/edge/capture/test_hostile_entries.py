"""Entries of a folder that other programs made: only regular files are read, whatever else is
there."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.capture.sources.folder import FolderCamera
from edge.capture.sources.picture_file import open_picture_file
from edge.capture.sources.replay import ReplayCamera
from edge.core.clock import Clock
from edge.core.errors import CameraError, ModelError, PictureError
from edge.core.regular_file import MAX_BYTES, read_named, read_regular
from edge.inspection import load_model_file
from tests.conftest import WritePicture
from tests.edge.capture.dropfolder import Receipts, StopAfterWaits, names, read_all, watched
from tests.support.clock import FakeClock, Patience

SECRET = b"s3cr3t-password"


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def _link_to(target: Path) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def entries(secret: Path) -> dict[str, Callable[[Path], object]]:
    """How each kind of entry is made."""
    return {
        "link": _link_to(secret),
        "link-to-picture": _link_to(secret.with_name("elsewhere.png")),
        "link-to-nowhere": _link_to(Path("/nowhere")),
        "link-to-itself": lambda path: path.symlink_to(path.name),
        "link-to-device": _link_to(Path("/dev/zero")),
        "pipe": os.mkfifo,
        "socket": _socket,
        "folder": lambda path: path.mkdir(),
    }


KINDS = sorted(entries(Path("x")))


@pytest.fixture
def secret(tmp_path: Path, write_picture: WritePicture) -> Path:
    """A file of the box that no message may show, and a picture beside it."""
    shutil.copy(write_picture("other.png"), tmp_path / "elsewhere.png")
    path = tmp_path / "token"
    path.write_bytes(SECRET)
    return path


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "link-to-device"])
def test_a_named_file_is_a_regular_one(secret: Path, tmp_path: Path, kind: str) -> None:
    """A model or secret of config.yaml: nothing blocks or fills the memory, at a reload either."""
    entries(secret)[kind](tmp_path / "named")
    with pytest.raises(OSError, match=r"pipe or a device|directory|No such device"):
        read_named(tmp_path / "named")
    with pytest.raises(ModelError, match="the model file cannot be read"):
        load_model_file(tmp_path / "named")


def test_a_link_to_a_named_file_is_meant(secret: Path, tmp_path: Path) -> None:
    """The one who writes config.yaml may link; only the asked bytes are read."""
    (tmp_path / "link").symlink_to(secret)
    assert read_named(tmp_path / "link") == SECRET
    assert read_named(tmp_path / "link", 6) == SECRET[:6]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_reads_only_regular_files(
    *,
    kind: str,
    secret: Path,
    drop: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The entry is named once and never read, nothing blocks, and the picture is judged."""
    entries(secret)[kind](drop / "a.png")
    write_picture("drop/b.png")
    looks = read_all(drop, receipts, environment, clock)
    assert names(looks) == ["b.png"]
    assert caplog.text.count("not judged: a.png (a link") == 1
    assert SECRET[:8].decode() not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_watched_folder_reads_only_regular_files(
    kind: str, secret: Path, drop: Path, receipts: Receipts, write_picture: WritePicture
) -> None:
    """Also an entry that is renamed into the folder while it is watched."""
    camera = watched(drop, receipts)
    assert camera.read(StopAfterWaits(4)) is None
    entries(secret)[kind](drop / "hidden")
    (drop / "hidden").rename(drop / "a.png")
    shutil.copy(write_picture("b.png"), drop / "b.png")
    look = camera.read(StopAfterWaits(40))
    assert look is not None
    assert look.item == "b.png"
    assert camera.read(StopAfterWaits(6)) is None
    camera.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_replay_plays_only_regular_files(
    *,
    kind: str,
    secret: Path,
    tmp_path: Path,
    environment: Clock,
    patience: Patience,
    write_picture: WritePicture,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same below the folder of a replay."""
    write_picture("set/below/b.png")
    entries(secret)[kind](tmp_path / "set" / "below" / "a.png")
    camera = ReplayCamera(tmp_path / "set", "max", 1, environment)
    look = camera.read(patience)
    assert look is not None
    assert look.item == "below/b.png"
    assert camera.read(patience) is None
    assert "a.png: not played" in caplog.text


def test_config_may_name_a_link(
    tmp_path: Path, environment: Clock, patience: Patience, write_picture: WritePicture
) -> None:
    """The person who writes config.yaml may name a picture by a link, and a folder."""
    picture = write_picture("set/a.png")
    (tmp_path / "one.png").symlink_to(picture)
    (tmp_path / "all").symlink_to(picture.parent)
    for name, item in (("one.png", "one.png"), ("all", "a.png")):
        look = ReplayCamera(tmp_path / name, "max", 1, environment).read(patience)
        assert look is not None
        assert look.item == item


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "link-to-nowhere"])
def test_an_entry_that_changes_right_before_it_is_read(
    tmp_path: Path, secret: Path, kind: str
) -> None:
    """Between scan and read a program may put a link into the file's place."""
    entries(secret)[kind](tmp_path / "a.png")
    with pytest.raises(PictureError, match="no regular file") as caught:
        open_picture_file(str(tmp_path / "a.png"))
    assert SECRET[:8].decode() not in str(caught.value)


@pytest.mark.slow
def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte takes no disk, and would take all memory."""
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(PictureError, match="more than any picture"):
        open_picture_file(str(path))
    with path.open("wb") as file:
        file.truncate(MAX_BYTES)
        file.seek(0)
        file.write(b"x")
    assert len(read_regular(path)) == MAX_BYTES


def test_the_folder_itself_as_move_to(drop: Path, tmp_path: Path, environment: Clock) -> None:
    """Under whatever name it would be an endless series of verdicts."""
    (tmp_path / "link").symlink_to(drop)
    for name in (drop, tmp_path / "link", drop / ".." / drop.name):
        with pytest.raises(CameraError, match="under another name"):
            FolderCamera(drop, lambda _receipt: False, environment, move_to=name)

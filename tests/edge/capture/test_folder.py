"""`folder:` judges every picture dropped there, once, also across restarts."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.capture.camera import Look, Pixels
from edge.capture.folder import FolderCamera
from edge.capture.inotify import Watch
from edge.environment import Environment, Stop
from edge.errors import CameraError
from edge.picture import read_picture
from tests.conftest import WritePicture
from tests.edge.conftest import Clock, Patience


class Looks(Stop):
    """A stop that comes after so many waits, under the real clock."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def wait(self, seconds: float) -> bool:
        """Waits as told."""
        self._left -= 1
        return super().wait(seconds) or self._left < 0


class Receipts:
    """What the outbox knows to be judged; it outlives the camera."""

    def __init__(self) -> None:
        self.stored: set[str] = set()

    def __call__(self, receipt: str) -> bool:
        return receipt in self.stored


@pytest.fixture
def receipts() -> Receipts:
    """An outbox that has stored nothing."""
    return Receipts()


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


def read_all(
    folder: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    *,
    looks: int = 60,
    on_wait: Callable[[int], None] = lambda _number: None,
) -> list[Look]:
    """What one run of the camera brings in so many looks of 0.2 s; each is stored as judged."""
    patience = Patience(clock, looks)
    patience.on_wait = on_wait
    camera = FolderCamera(folder, receipts, environment)
    brought = []
    while (look := camera.read(patience)) is not None:
        assert look.receipt is not None
        receipts.stored.add(look.receipt)
        brought.append(look)
    camera.close()
    return brought


def names(looks: list[Look]) -> list[str | None]:
    """The names of what was brought."""
    return [look.item for look in looks]


def test_every_picture_once_oldest_first(
    drop: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    write_picture: WritePicture,
) -> None:
    """Each picture comes once, in the order of its time; other files are left alone."""
    for age, name in enumerate(("new.png", "old.jpg", "mid.bmp")):
        path = write_picture(f"drop/{name}")
        os.utime(path, ns=(0, {"new.png": 3, "old.jpg": 1, "mid.bmp": 2}[name] * 10**9))
        assert age >= 0
    (drop / "notes.txt").write_text("x")
    (drop / ".hidden.png").write_bytes(b"x")
    (drop / "below").mkdir()
    looks = read_all(drop, receipts, environment, clock)
    assert names(looks) == ["old.jpg", "mid.bmp", "new.png"]


def test_restart_judges_nothing_twice(
    drop: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    write_picture: WritePicture,
) -> None:
    """What the outbox has stored is not brought again by a new daemon; the new picture is."""
    write_picture("drop/a.png")
    assert names(read_all(drop, receipts, environment, clock)) == ["a.png"]
    write_picture("drop/b.png")
    assert names(read_all(drop, receipts, environment, clock)) == ["b.png"]
    assert names(read_all(drop, receipts, environment, clock)) == []


def test_killed_before_the_verdict_was_stored(
    drop: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    write_picture: WritePicture,
) -> None:
    """A picture whose verdict was not stored is brought again: none is skipped."""
    write_picture("drop/a.png")
    read_all(drop, receipts, environment, clock)
    receipts.stored.clear()
    assert names(read_all(drop, receipts, environment, clock)) == ["a.png"]


def test_same_name_with_new_content_is_a_new_picture(
    drop: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    write_picture: WritePicture,
) -> None:
    """A file that is written over is another part."""
    write_picture("drop/a.png")
    read_all(drop, receipts, environment, clock)
    os.utime(write_picture("drop/a.png", red=255), ns=(0, 10**18))
    assert names(read_all(drop, receipts, environment, clock)) == ["a.png"]


@pytest.mark.parametrize("grows", [True, False], ids=["grows", "is-written-over"])
def test_changing_file_is_not_taken(
    *,
    grows: bool,
    drop: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    write_picture: WritePicture,
) -> None:
    """A file that changes between two looks, even from one good picture to another, is taken only
    when it rests, and then whole."""
    whole = write_picture("drop/whole.bmp").read_bytes()
    (drop / "whole.bmp").unlink()
    growing = drop / "a.bmp"
    taken_at: list[float] = []
    start = clock.at

    def grow(number: int) -> None:
        growing.write_bytes(whole[: len(whole) * min(number, 10) // 10] if grows else whole)
        os.utime(growing, ns=(0, min(number, 10) * 10**9))
        if receipts.stored and not taken_at:
            taken_at.append(clock.at - start)

    looks = read_all(drop, receipts, environment, clock, on_wait=grow)
    assert names(looks) == ["a.bmp"]
    assert looks[0].fault is None
    assert taken_at[0] >= 1.9


def test_file_that_came_just_now_rests_for_a_look(
    drop: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    write_picture: WritePicture,
) -> None:
    """A file first seen while others are ready still rests 0.2 s before it is taken."""
    write_picture("drop/a.png")
    camera = FolderCamera(drop, receipts, environment)
    patience, came = Patience(clock), []

    def drop_second(number: int) -> None:
        if number == 2:  # the look that follows finds the first one ready
            write_picture("drop/b.png")
            came.append(clock.at)

    patience.on_wait = drop_second
    first, second = camera.read(patience), camera.read(patience)
    assert names([look for look in (first, second) if look]) == ["a.png", "b.png"]
    assert clock.at - came[0] >= 0.2 - 1e-6


def test_damaged_picture_is_an_error_once_it_has_rested(
    drop: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    write_picture: WritePicture,
) -> None:
    """A file that stays damaged for 5 s is a fault with its sentence, once, and others go on."""
    (drop / "bad.jpg").write_text("a text file\n")
    os.utime(drop / "bad.jpg", ns=(0, 1))
    write_picture("drop/good.png")
    start = clock.at
    looks = read_all(drop, receipts, environment, clock)
    assert names(looks) == ["good.png", "bad.jpg"]
    assert looks[1].pixels is None
    assert looks[1].receipt is not None
    assert "not a JPEG, PNG or BMP picture" in str(looks[1].fault)
    assert clock.at - start >= 5
    assert names(read_all(drop, receipts, environment, clock)) == []


def test_waiting_for_a_damaged_picture_does_not_spin(
    drop: Path, receipts: Receipts, environment: Environment, clock: Clock
) -> None:
    """While a damaged file may still be on its way, the folder is looked at 5 times a second."""
    (drop / "bad.png").write_bytes(b"")
    asked: list[str] = []

    def judged(receipt: str) -> bool:
        asked.append(receipt)
        return False

    patience = Patience(clock, 60)
    look = FolderCamera(drop, judged, environment).read(patience)
    assert look is not None
    assert "0 bytes" in str(look.fault)
    assert 20 <= len(asked) <= 30


def test_file_that_is_taken_away_is_forgotten(
    drop: Path,
    receipts: Receipts,
    environment: Environment,
    clock: Clock,
    write_picture: WritePicture,
) -> None:
    """A picture that is removed before it was read gives no verdict and no fault."""
    path = write_picture("drop/a.png")
    looks = read_all(
        drop, receipts, environment, clock, on_wait=lambda _number: path.unlink(missing_ok=True)
    )
    assert looks == []


def test_folder_that_goes_is_a_lost_camera(
    drop: Path, receipts: Receipts, environment: Environment, clock: Clock
) -> None:
    """A folder that is removed while it is watched is a lost camera, with the mend."""
    patience = Patience(clock)
    patience.on_wait = lambda _number: drop.rmdir()
    camera = FolderCamera(drop, receipts, environment)
    with pytest.raises(CameraError, match="has gone; create it again"):
        camera.read(patience)


def watched(folder: Path, receipts: Receipts, move_to: Path | None = None) -> FolderCamera:
    """A camera that hears the kernel, under the real clock."""
    watch = Watch.on(folder)
    assert watch is not None
    return FolderCamera(folder, receipts, Environment(), watch=watch, move_to=move_to)


def test_closed_and_renamed_files_are_taken_at_once(
    drop: Path, receipts: Receipts, write_picture: WritePicture
) -> None:
    """The kernel's word is enough: a file that was written and closed, and one that was renamed
    into the folder, come in their order, before the folder is looked at again."""
    camera = watched(drop, receipts)
    stop = Looks(4)
    assert camera.read(stop) is None  # the first looks find nothing
    write_picture("drop/a.png")
    write_picture("b.png").rename(drop / "b.png")
    stop = Looks(10)
    found = [camera.read(stop), camera.read(stop)]
    camera.close()
    assert names([look for look in found if look]) == ["a.png", "b.png"]


def test_file_that_is_still_open_is_not_taken(
    drop: Path, receipts: Receipts, write_picture: WritePicture
) -> None:
    """A file that grows with pauses longer than any rest is taken when it is closed, and whole."""
    whole = write_picture("whole.bmp").read_bytes()
    camera = watched(drop, receipts)
    assert camera.read(Looks(4)) is None
    with (drop / "a.bmp").open("wb") as file:
        file.write(whole[:100])
        file.flush()
        # longer than two looks at a watched folder and the wait for a damaged file
        assert camera.read(Looks(200)) is None
        file.write(whole[100:])
    look = camera.read(Looks(20))
    camera.close()
    assert look is not None
    assert look.item == "a.bmp"
    assert look.pixels is not None


def test_judged_files_are_moved_when_their_verdict_is_stored(
    drop: Path, receipts: Receipts, write_picture: WritePicture, tmp_path: Path
) -> None:
    """A file goes to move_to when its receipt is stored, not before, and never over another."""
    done = tmp_path / "done"
    write_picture("done/a.png", red=9)
    write_picture("drop/a.png")
    camera = watched(drop, receipts, done)
    look = camera.read(Looks(40))
    assert look is not None
    assert look.receipt is not None
    assert camera.read(Looks(10)) is None
    assert (drop / "a.png").exists()
    receipts.stored.add(look.receipt)
    assert camera.read(Looks(10)) is None
    camera.close()
    assert not (drop / "a.png").exists()
    assert len(list(done.iterdir())) == 2


def test_judged_files_of_a_killed_daemon_are_moved(
    drop: Path, receipts: Receipts, write_picture: WritePicture, tmp_path: Path
) -> None:
    """A file whose verdict was stored before the daemon was killed is moved by the next one, and
    not judged again."""
    path = write_picture("drop/a.png")
    stat = path.stat()
    receipts.stored.add(f"a.png|{stat.st_size}|{stat.st_mtime_ns}")
    camera = watched(drop, receipts, tmp_path / "done")
    assert camera.read(Looks(20)) is None
    camera.close()
    assert not path.exists()
    assert (tmp_path / "done" / "a.png").exists()


def test_file_written_over_while_it_is_read_is_not_mistaken(
    drop: Path,
    receipts: Receipts,
    write_picture: WritePicture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is judged is what the receipt names: a file that changes under the reader's hands is
    left, and taken in its new form."""
    camera = watched(drop, receipts)
    assert camera.read(Looks(4)) is None
    write_picture("drop/a.png", red=10)
    reads: list[Path] = []

    def read(path: Path) -> Pixels:
        pixels = read_picture(path)
        reads.append(path)
        if len(reads) == 1:
            write_picture("drop/a.png", red=200)
            os.utime(drop / "a.png", ns=(0, 10**18))
        return pixels

    monkeypatch.setattr("edge.capture.folder.read_picture", read)
    look = camera.read(Looks(100))
    camera.close()
    assert look is not None
    assert look.pixels is not None
    assert look.pixels[0, 0, 2] == 200

"""`folder:` judges every picture dropped there, once, also across restarts."""

import os
from pathlib import Path

import pytest

from edge.capture.sources.folder import FolderCamera
from edge.core.clock import Clock
from edge.core.errors import CameraError
from tests.conftest import WritePicture
from tests.edge.capture.dropfolder import Receipts, names, read_all
from tests.support.clock import FakeClock, Patience


def test_every_picture_once_oldest_first(
    drop: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
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
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
) -> None:
    """A new daemon does not read a file with a stored receipt again; it reads the new file."""
    write_picture("drop/a.png")
    assert names(read_all(drop, receipts, environment, clock)) == ["a.png"]
    write_picture("drop/b.png")
    assert names(read_all(drop, receipts, environment, clock)) == ["b.png"]
    assert names(read_all(drop, receipts, environment, clock)) == []


def test_killed_before_the_verdict_was_stored(
    drop: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
) -> None:
    """A picture without a stored verdict is read again: none is skipped."""
    write_picture("drop/a.png")
    read_all(drop, receipts, environment, clock)
    receipts.stored.clear()
    assert names(read_all(drop, receipts, environment, clock)) == ["a.png"]


def test_same_name_with_new_content_is_a_new_picture(
    drop: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
) -> None:
    """An overwritten file is another part."""
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
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
) -> None:
    """A file that changes between two scans, even from one good picture to another, is read only
    when it stays unchanged, and then whole."""
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


def test_new_file_waits_for_a_second_scan(
    drop: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
) -> None:
    """A file first seen while others are ready still waits 0.2 s before it is read."""
    write_picture("drop/a.png")
    camera = FolderCamera(drop, receipts, environment)
    patience, came = Patience(clock), []

    def drop_second(number: int) -> None:
        if number == 2:  # the next scan finds the first one ready
            write_picture("drop/b.png")
            came.append(clock.at)

    patience.on_wait = drop_second
    first, second = camera.read(patience), camera.read(patience)
    assert names([look for look in (first, second) if look]) == ["a.png", "b.png"]
    assert clock.at - came[0] >= 0.2 - 1e-6


def test_damaged_picture_is_an_error_after_five_seconds(
    drop: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
) -> None:
    """A file that stays damaged for 5 s is one fault with its reason; other files go on."""
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
    drop: Path, receipts: Receipts, environment: Clock, clock: FakeClock
) -> None:
    """While a damaged file may still be written, the folder is scanned 5 times a second."""
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


def test_removed_file_is_forgotten(
    drop: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
) -> None:
    """A picture that is removed before its read gives no verdict and no fault."""
    path = write_picture("drop/a.png")
    looks = read_all(
        drop, receipts, environment, clock, on_wait=lambda _number: path.unlink(missing_ok=True)
    )
    assert looks == []


def test_present_receipts_are_reported_every_ten_minutes(
    drop: Path,
    receipts: Receipts,
    environment: Clock,
    clock: FakeClock,
    write_picture: WritePicture,
) -> None:
    """`prune` gets the receipts of all files at the start and after ten minutes."""
    reported: list[list[str]] = []
    write_picture("drop/a.png")
    late = Patience(clock, 3100)

    def on_wait(number: int) -> None:
        if number == 1000:
            write_picture("drop/b.png")

    late.on_wait = on_wait
    camera = FolderCamera(
        drop, receipts, environment, prune=lambda present: reported.append(sorted(present))
    )
    while (look := camera.read(late)) is not None:
        assert look.receipt is not None
        receipts.stored.add(look.receipt)
    assert [[one.split("|")[0] for one in names] for names in reported] == [
        ["a.png"],
        ["a.png", "b.png"],
    ]


def test_removed_folder_is_a_lost_camera(
    drop: Path, receipts: Receipts, environment: Clock, clock: FakeClock
) -> None:
    """A folder that is removed while it is watched is a lost camera; the error names the fix."""
    patience = Patience(clock)
    patience.on_wait = lambda _number: drop.rmdir()
    camera = FolderCamera(drop, receipts, environment)
    with pytest.raises(CameraError, match="has gone; create it again"):
        camera.read(patience)

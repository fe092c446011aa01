"""`folder:` with inotify, on a real file system, under the real clock."""

import os
from pathlib import Path

import pytest

from edge.capture.sources import inotify
from edge.capture.sources.picture_file import open_picture_file
from edge.core.image import EncodedPicture
from tests.conftest import WritePicture
from tests.edge.capture.dropfolder import Receipts, StopAfterWaits, names, watched


def test_closed_and_renamed_files_are_taken_at_once(
    drop: Path, receipts: Receipts, write_picture: WritePicture
) -> None:
    """A file that was closed after writing, and one that was renamed into the folder, are read in
    order and before the next scan."""
    camera = watched(drop, receipts)
    stop = StopAfterWaits(4)
    assert camera.read(stop) is None  # the first looks find nothing
    write_picture("drop/a.png")
    write_picture("b.png").rename(drop / "b.png")
    stop = StopAfterWaits(10)
    found = [camera.read(stop), camera.read(stop)]
    camera.close()
    assert names([look for look in found if look]) == ["a.png", "b.png"]


@pytest.mark.slow
def test_file_that_is_still_open_is_not_taken(
    drop: Path, receipts: Receipts, write_picture: WritePicture
) -> None:
    """A file that grows slowly is read whole, when it is closed."""
    whole = write_picture("whole.bmp").read_bytes()
    camera = watched(drop, receipts)
    assert camera.read(StopAfterWaits(4)) is None
    with (drop / "a.bmp").open("wb") as file:
        file.write(whole[:100])
        file.flush()
        # longer than two looks at a watched folder and the wait for a damaged file
        assert camera.read(StopAfterWaits(200)) is None
        file.write(whole[100:])
    look = camera.read(StopAfterWaits(20))
    camera.close()
    assert look is not None
    assert look.item == "a.bmp"
    assert look.decoded() is not None


@pytest.mark.slow
def test_judged_files_are_moved_when_their_verdict_is_stored(
    drop: Path, receipts: Receipts, write_picture: WritePicture, tmp_path: Path
) -> None:
    """A file is moved when its receipt is stored, not before, and never overwrites another."""
    done = tmp_path / "done"
    write_picture("done/a.png", red=9)
    write_picture("drop/a.png")
    camera = watched(drop, receipts, done)
    look = camera.read(StopAfterWaits(40))
    assert look is not None
    assert look.receipt is not None
    assert camera.read(StopAfterWaits(10)) is None
    assert (drop / "a.png").exists()
    receipts.stored.add(look.receipt)
    assert camera.read(StopAfterWaits(10)) is None
    camera.close()
    assert not (drop / "a.png").exists()
    assert len(list(done.iterdir())) == 2


@pytest.mark.slow
def test_judged_files_of_a_killed_daemon_are_moved(
    drop: Path, receipts: Receipts, write_picture: WritePicture, tmp_path: Path
) -> None:
    """The next daemon moves a file with a stored verdict, and does not judge it again."""
    path = write_picture("drop/a.png")
    stat = path.stat()
    receipts.stored.add(f"a.png|{stat.st_size}|{stat.st_mtime_ns}")
    camera = watched(drop, receipts, tmp_path / "done")
    assert camera.read(StopAfterWaits(20)) is None
    camera.close()
    assert not path.exists()
    assert (tmp_path / "done" / "a.png").exists()


def test_file_overwritten_during_its_read_is_read_again(
    drop: Path,
    receipts: Receipts,
    write_picture: WritePicture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The receipt always belongs to the judged picture: a file that changes during its read is read
    again in its new form."""
    camera = watched(drop, receipts)
    assert camera.read(StopAfterWaits(4)) is None
    write_picture("drop/a.png", red=10)
    reads: list[str] = []

    def read(path: str) -> EncodedPicture:
        picture = open_picture_file(path)
        reads.append(path)
        if len(reads) == 1:
            write_picture("drop/a.png", red=200)
            os.utime(drop / "a.png", ns=(0, 10**18))
        return picture

    monkeypatch.setattr("edge.capture.sources.folder.open_picture_file", read)
    look = camera.read(StopAfterWaits(100))
    camera.close()
    assert look is not None
    pixels = look.decoded()
    assert pixels is not None
    assert pixels[0, 0, 2] == 200


@pytest.mark.parametrize("files", [1, 5, 40])
def test_events_beyond_one_buffer_are_read_in_the_same_call(drop: Path, files: int) -> None:
    """Events beyond one buffer are fetched by further reads, in order."""
    watch = inotify.FolderWatch(
        drop, buffer_bytes=600
    )  # room for two events with the longest names
    expected = [f"{number:03}-{'x' * (number * 7 % 200)}.png" for number in range(files)]
    for name in expected:
        (drop / name).touch()
    try:
        assert watch.complete() == expected
        assert watch.complete() == []
    finally:
        watch.close()

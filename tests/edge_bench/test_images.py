"""The pictures that are measured with."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.core.errors import RefusedError
from edge.core.image import read_picture
from edge_bench.images import drawn, make, yuyv
from edge_bench.lower_bound import decode_yuyv


def made(folder: Path, **request: Any) -> dict[str, Any]:
    """What is made of a request."""
    said = {"folder": str(folder / "made"), "count": 3, "width": None, "height": None}
    return make({**said, "pictures": None, **request})


def test_drawn_pictures_are_like_those_of_a_camera() -> None:
    """A 1080p JPEG at quality 85 is about 200 KB, each picture is another one, and always the
    same."""
    first, second = drawn(0, 1920, 1080), drawn(1, 1920, 1080)
    _, data = cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert 150_000 < data.size < 250_000
    assert first.shape == (1080, 1920, 3)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, drawn(0, 1920, 1080))


def test_raw_pictures_show_the_same() -> None:
    """YUYV and back by OpenCV is the picture, but for colour at half the width."""
    smooth = cv2.GaussianBlur(drawn(0, 64, 48), (9, 9), 0)
    back = decode_yuyv(yuyv(np.asarray(smooth, np.uint8)), 64, 48)
    assert np.abs(back.astype(int) - smooth).mean() < 2


def test_files_are_made_of_every_format(tmp_path: Path) -> None:
    """As many JPEGs as asked for, of that size, and a file of raw pictures."""
    found = made(tmp_path, width=64, height=48)
    assert len(found["jpeg"]) == 3
    assert read_picture(Path(found["jpeg"][0])).shape == (48, 64, 3)
    assert Path(found["raw"]).stat().st_size == 3 * 2 * 64 * 48


def test_own_jpegs_stay_as_they_are(tmp_path: Path) -> None:
    """Byte for byte, evenly out of the folder; pictures of another size are left out."""
    own = tmp_path / "own"
    own.mkdir()
    for number, width in enumerate((40, 40, 40, 40, 30, 30)):
        cv2.imwrite(str(own / f"{number}.jpg"), drawn(number, width, 32))
    found = made(tmp_path, pictures=str(own))
    assert [Path(file).read_bytes() for file in found["jpeg"]] == [
        (own / name).read_bytes() for name in ("0.jpg", "2.jpg")
    ]
    assert (found["width"], found["height"], found["left_out"]) == (40, 32, 1)


def test_own_pictures_take_another_size(tmp_path: Path) -> None:
    """When a size is asked for."""
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), drawn(number, 41, 33))
    found = made(tmp_path, pictures=str(tmp_path), width=64, height=48)
    assert read_picture(Path(found["jpeg"][0])).shape == (48, 64, 3)


def test_an_odd_width_has_no_raw_picture(tmp_path: Path) -> None:
    """YUYV shares colour between two pixels."""
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), drawn(number, 41, 33))
    assert made(tmp_path, pictures=str(tmp_path))["raw"] is None


def test_a_video_gives_frames(tmp_path: Path) -> None:
    """Evenly out of the whole video."""
    path = tmp_path / "a.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(9):
        video.write(np.full((48, 64, 3), number * 25, np.uint8))
    video.release()
    found = made(tmp_path, pictures=str(path))
    levels = [round(float(read_picture(Path(file)).mean()) / 25) for file in found["jpeg"]]
    assert levels == [0, 3, 6]


def test_one_picture_is_too_few(tmp_path: Path) -> None:
    """A live camera that repeats itself is frozen, and its verdicts are errors."""
    cv2.imwrite(str(tmp_path / "a.png"), drawn(0, 40, 32))
    with pytest.raises(RefusedError, match="only 1 of one size"):
        made(tmp_path, pictures=str(tmp_path))


@pytest.mark.parametrize("name", ["empty", "text.mp4"])
def test_what_holds_no_picture_is_refused(tmp_path: Path, name: str) -> None:
    """An empty folder, and a file that is no video."""
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    else:
        path.write_text("text")
    with pytest.raises(RefusedError, match=f"--pictures {path}: "):
        made(tmp_path, pictures=str(path))

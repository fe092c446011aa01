"""The pictures of a measurement."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.core.errors import RefusedError
from edge.core.image import read_picture
from edge_bench.images import draw_part, write_pictures, yuyv
from edge_bench.lower_bound import decode_yuyv


def write(folder: Path, **request: Any) -> dict[str, Any]:
    """The answer to a request."""
    defaults = {"folder": str(folder / "made"), "count": 3, "width": None, "height": None}
    return write_pictures({**defaults, "pictures": None, **request})


@pytest.mark.slow
def test_synthetic_pictures_resemble_camera_pictures() -> None:
    """A 1080p JPEG at quality 85 has about 200 KB; pictures differ and are reproducible."""
    first, second = draw_part(0, 1920, 1080), draw_part(1, 1920, 1080)
    _, data = cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert 150_000 < data.size < 250_000
    assert first.shape == (1080, 1920, 3)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, draw_part(0, 1920, 1080))


def test_raw_pictures_equal_the_originals() -> None:
    """YUYV, decoded by OpenCV, gives the picture, except that colour has half the width."""
    smooth = cv2.GaussianBlur(draw_part(0, 64, 48), (9, 9), 0)
    back = decode_yuyv(yuyv(np.asarray(smooth, np.uint8)), 64, 48)
    assert np.abs(back.astype(int) - smooth).mean() < 2


def test_both_formats_are_written(tmp_path: Path) -> None:
    """The answer has `count` JPEGs of the size and a file of raw pictures."""
    found = write(tmp_path, width=64, height=48)
    assert len(found["jpeg"]) == 3
    assert read_picture(Path(found["jpeg"][0])).shape == (48, 64, 3)
    assert Path(found["raw"]).stat().st_size == 3 * 2 * 64 * 48


def test_the_users_jpegs_stay_unchanged(tmp_path: Path) -> None:
    """JPEGs are taken evenly from the folder, byte for byte. Other sizes are left out."""
    user = tmp_path / "own"
    user.mkdir()
    for number, width in enumerate((40, 40, 40, 40, 30, 30)):
        cv2.imwrite(str(user / f"{number}.jpg"), draw_part(number, width, 32))
    found = write(tmp_path, pictures=str(user))
    assert [Path(file).read_bytes() for file in found["jpeg"]] == [
        (user / name).read_bytes() for name in ("0.jpg", "2.jpg")
    ]
    assert (found["width"], found["height"], found["left_out"]) == (40, 32, 1)


def test_the_users_pictures_can_be_resized(tmp_path: Path) -> None:
    """A requested size resizes the pictures."""
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), draw_part(number, 41, 33))
    found = write(tmp_path, pictures=str(tmp_path), width=64, height=48)
    assert read_picture(Path(found["jpeg"][0])).shape == (48, 64, 3)


def test_an_odd_width_has_no_raw_picture(tmp_path: Path) -> None:
    """YUYV shares colour between two pixels, so an odd width has no raw file."""
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), draw_part(number, 41, 33))
    assert write(tmp_path, pictures=str(tmp_path))["raw"] is None


def test_a_video_gives_frames(tmp_path: Path) -> None:
    """Frames are taken evenly from the whole video."""
    path = tmp_path / "a.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(9):
        video.write(np.full((48, 64, 3), number * 25, np.uint8))
    video.release()
    found = write(tmp_path, pictures=str(path))
    levels = [round(float(read_picture(Path(file)).mean()) / 25) for file in found["jpeg"]]
    assert levels == [0, 3, 6]


def test_one_picture_is_too_few(tmp_path: Path) -> None:
    """A camera that repeats one picture counts as frozen, so one picture is refused."""
    cv2.imwrite(str(tmp_path / "a.png"), draw_part(0, 40, 32))
    with pytest.raises(RefusedError, match="only 1 of one size"):
        write(tmp_path, pictures=str(tmp_path))


@pytest.mark.parametrize("name", ["empty", "text.mp4"])
def test_a_source_without_pictures_is_refused(tmp_path: Path, name: str) -> None:
    """An empty folder and a file that is no video are refused."""
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    else:
        path.write_text("text")
    with pytest.raises(RefusedError, match=f"--pictures {path}: "):
        write(tmp_path, pictures=str(path))

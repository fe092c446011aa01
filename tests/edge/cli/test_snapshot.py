"""`edge-inspect snapshot`: a picture of a camera, with the region drawn in."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.__main__ import main
from tests.conftest import WriteConfig


def with_region(model: Path, target: Path, region: list[float]) -> Path:
    """A copy of the model file that looks at a part of the picture."""
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        start = min(info.header_offset for info in archive.infolist())
    spec = json.loads(members["inspection.json"])
    spec["input"]["region"] = region
    members["inspection.json"] = json.dumps(spec).encode()
    target.write_bytes(model.read_bytes()[:start])
    with zipfile.ZipFile(target, "a") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


@pytest.mark.slow
def test_picture_with_the_region_drawn_in(
    write_config: WriteConfig,
    redness_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The file holds what the camera sees, with a green frame around the region and nothing else
    changed; the line says size, light and sharpness."""
    model = with_region(redness_model, tmp_path / "part.tflite", [0.25, 0.5, 0.5, 0.25])
    path = write_config(model={"path": str(model)})
    target = tmp_path / "out" / "seen.png"
    assert main(["snapshot", "-c", str(path), "-o", str(target)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("camera top: 640×480, region [0.25, 0.5, 0.5, 0.25], grey levels ")
    seen = cv2.imread(str(target))
    assert seen is not None
    green = np.all(seen == (0, 220, 0), axis=2)
    rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    assert abs(columns[0] - 160) <= 1
    assert abs(columns[-1] - 479) <= 1
    assert abs(rows[0] - 240) <= 1
    assert abs(rows[-1] - 359) <= 1
    assert not green[250:350, 170:470].any()


@pytest.mark.slow
def test_picture_without_a_model(
    write_config: WriteConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before there is a model the camera can be set up: the picture comes without a region."""
    path = write_config(model={"path": str(tmp_path / "none.tflite")})
    assert main(["snapshot", "-c", str(path), "-o", str(tmp_path / "seen.jpg")]) == 0
    captured = capsys.readouterr()
    assert "no region is drawn" in captured.err
    assert (tmp_path / "seen.jpg").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-o", "seen.png"], 2, "--camera must be one of a, b, c (got none)"),
        (["-o", "seen.png", "--camera", "x"], 2, "must be one of a, b, c (got x)"),
        (["-o", "seen.txt", "--camera", "a"], 1, "must end in .png"),
        (["-o", "seen.png", "--camera", "b"], 2, "there is no such device"),
        (["-o", "seen.png", "--camera", "c"], 2, "a folder is no camera"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    write_config: WriteConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """A camera that is not named, not there or no camera: one sentence, and no file."""
    cameras = [
        {"id": "a", "source": "test:"},
        {"id": "b", "source": "v4l2:/dev/video99"},
        {"id": "c", "source": f"folder:{tmp_path}"},
    ]
    path = write_config(cameras=cameras)
    arguments = [str(tmp_path / a) if a.startswith("seen") else a for a in arguments]
    assert main(["snapshot", "-c", str(path), *arguments]) == code
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("seen*"))


@pytest.mark.slow
def test_picture_as_the_view_straightens_it(
    write_config: WriteConfig,
    redness_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A view that turns and cuts: the file is turned, and each of its regions has a frame."""
    left = {"id": "left", "region": [0, 0, 0.5, 1]}
    low = {"id": "low", "region": [240, 320, 240, 320]}
    view = {"rotate": 90, "regions": [left, low]}
    camera = {"id": "top", "source": "test:", "width": 640, "height": 480, "view": view}
    path = write_config(model={"path": str(redness_model)}, cameras=[camera])
    target = tmp_path / "seen.png"
    assert main(["snapshot", "-c", str(path), "-o", str(target)]) == 0
    assert "regions left, low of the view" in capsys.readouterr().out
    seen = cv2.imread(str(target))
    assert seen is not None
    assert seen.shape == (640, 480, 3)
    green = np.all(seen == (0, 220, 0), axis=2)
    assert green[:, 0].all()
    assert green[330:630, 479].all()
    assert not green[5:310, 250:].any()

"""`model.check_pictures`: pictures of known parts find a wrong setting before a part is judged."""

import os
import re
from pathlib import Path

import pytest

from edge.config import load_config
from edge.core.errors import EXIT_NO, EXIT_USAGE, ModelError, RefusedError
from edge.inspection.check_pictures import MAX_CHECK_PICTURES
from edge.inspection.inspector import Inspector
from edge.inspection.pixel_scaling import ScalingError
from edge.pipeline import build_inspector
from tests.conftest import WriteConfig, WritePicture
from tests.models.make import plain_name
from tests.support.models import MODELS

pytestmark = pytest.mark.inference


@pytest.fixture
def known_parts(write_picture: WritePicture, tmp_path: Path) -> Path:
    """A folder with four pictures of known parts."""
    for name, red in (("ok/a", 0), ("ok/b", 100), ("dent/c", 200), ("scratch/d", 255)):
        write_picture(f"check/{name}.png", red=red)
    return tmp_path / "check"


@pytest.fixture
def build(write_config: WriteConfig) -> "Build":
    """`build(path, pictures, scaling=…)`: the inspector of config.yaml."""
    return Build(write_config)


class Build:
    """Builds an inspector with labels and thresholds in config.yaml."""

    def __init__(self, write_config: WriteConfig) -> None:
        self._write = write_config

    def __call__(self, path: Path, pictures: Path | None, **model: object) -> Inspector:
        given = {"path": str(path), "labels": ["ok", "red"], **model}
        if pictures is not None:
            given["check_pictures"] = str(pictures)
        config = self._write(model=given, decision={"reject_at": 0.6})
        return build_inspector(load_config(config))


def test_right_scaling_judges_known_parts_right(build: "Build", known_parts: Path) -> None:
    """The right scaling passes the check; so does a file of edge-convert."""
    inspector = build(MODELS / plain_name("float32", "signed"), known_parts, scaling="signed")
    assert inspector.scaling == "signed"
    assert build(MODELS / "redness.tflite", known_parts).scaling is None


@pytest.mark.parametrize("wrong", ["inside", "0-1"])
def test_wrong_scaling_of_a_float_model_is_found(
    build: "Build", known_parts: Path, wrong: str
) -> None:
    """The file alone cannot contradict a wrong scaling; the pictures do, and name the right one."""
    path = MODELS / plain_name("float32", "signed")
    build(path, None, scaling=wrong)
    with pytest.raises(RefusedError, match=r"1 of 4 pictures .*ok/b\.png: fail") as caught:
        build(path, known_parts, scaling=wrong)
    assert re.search(r"with model\.scaling .*signed", str(caught.value))
    assert caught.value.exit_code == EXIT_NO


def test_missing_scaling_is_named_by_the_pictures(build: "Build", known_parts: Path) -> None:
    """Without a scaling the model is refused, with the scalings that judge all pictures right."""
    path = MODELS / plain_name("float32", "0-1")
    with pytest.raises(
        ScalingError, match=r"; with 0-1 .*all are judged right \(4 pictures\)"
    ) as caught:
        build(path, known_parts)
    assert caught.value.exit_code == EXIT_USAGE


def test_swapped_labels_are_found(build: "Build", known_parts: Path) -> None:
    """Labels in the wrong order pass defects: the pictures find it."""
    path = MODELS / plain_name("uint8", "inside")
    with pytest.raises(RefusedError, match=r"the order of model\.labels"):
        build(path, known_parts, labels=["red", "ok"])


def test_a_folder_that_proves_nothing_is_refused(
    build: "Build", write_picture: WritePicture, tmp_path: Path
) -> None:
    """Without a good part, without a defect, with too many or unreadable pictures: one sentence."""
    path, folder = MODELS / "redness.tflite", tmp_path / "few"
    with pytest.raises(ModelError, match=r"few: cannot be read \(No such file"):
        build(path, folder)
    write_picture("few/ok/a.png")
    with pytest.raises(ModelError, match=r"needs pictures in ok/ and in a folder of defects"):
        build(path, folder)
    (folder / "dent").mkdir()
    os.mkfifo(folder / "dent" / "pipe.png")  # reading it would never end
    with pytest.raises(ModelError, match=r"needs pictures in ok/ and in a folder of defects"):
        build(path, folder)
    (folder / "dent" / "b.png").write_bytes(b"no picture")
    with pytest.raises(ModelError, match=r"check_pictures: .*b\.png"):
        build(path, folder)
    for number in range(MAX_CHECK_PICTURES):
        write_picture(f"few/ok/{number}.png")
    with pytest.raises(ModelError, match="at most 100; keep the clear ones"):
        build(path, folder)

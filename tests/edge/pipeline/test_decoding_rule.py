"""The model's decoding rule in the daemon: configuration, files and cameras."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import load_config
from edge.core.clock import Clock
from edge.core.errors import ConfigError
from edge.core.frame import Frame
from edge.core.image import EncodedPicture, examine_picture
from edge.core.jpeg import JPEGDecoding
from edge.inspection import DecodingRule, load_model_file, pack_model_file
from edge.inspection.model_file import SCHEMA_WITH_RULE
from edge.pipeline import build_inspector, build_judge
from tests.conftest import WriteConfig

RULE = DecodingRule(smallest_multiple=1.5)


def packed(redness: Path, to: Path, **spec: Any) -> Path:
    """The redness model with another description."""
    file = load_model_file(redness)
    assert file.spec is not None
    assert file.labels is not None
    tflite = file.content[: file.content.index(b"PK\x03\x04")]
    to.write_bytes(pack_model_file(tflite, file.labels, file.spec.replace(**spec), file.golden))
    return to


@pytest.fixture
def ruled(redness_model: Path, tmp_path: Path) -> Path:
    """A file of model/2 that reduces."""
    file = load_model_file(redness_model)
    assert file.spec is not None
    return packed(
        redness_model,
        tmp_path / "ruled.tflite",
        schema_=SCHEMA_WITH_RULE,
        input=file.spec.input.replace(decoding=RULE),
    )


def picture(width: int = 501, height: int = 403) -> EncodedPicture:
    """A red JPEG of odd sides."""
    _, data = cv2.imencode(".jpg", np.full((height, width, 3), (40, 40, 220), np.uint8))
    return examine_picture(data.tobytes(), "a.jpg")


def test_whole_contradicts_a_reduced_file(ruled: Path, write_config: WriteConfig) -> None:
    """One sentence with file, line and fix; other pixels would give other verdicts."""
    config = write_config(model={"path": str(ruled), "decoding": "whole"})
    with pytest.raises(ConfigError) as caught:
        build_inspector(load_config(config), config)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{config}:")
    assert "model.decoding" in problem
    assert "edge-train --decoding whole (got 'whole')" in problem


def test_whole_takes_the_permission_of_older_files_away(
    redness_model: Path, tmp_path: Path, write_config: WriteConfig
) -> None:
    """model/1 was measured on whole JPEGs, so both are right."""
    older = packed(redness_model, tmp_path / "older.tflite", decoding="reduced")
    for asked, reduces in (("auto", True), ("whole", False)):
        config = load_config(write_config(model={"path": str(older), "decoding": asked}))
        assert build_inspector(config).input.reduces == reduces


def frame(encoded: EncodedPicture, pixels: NDArray[np.uint8] | None, reduced: int) -> Frame:
    """As a camera or a folder hands it over."""
    return Frame("cam1", 1, pixels, 0.0, 0.0, encoded=encoded, reduced=reduced)


@pytest.mark.parametrize(
    "how", [None, JPEGDecoding(), JPEGDecoding(2), JPEGDecoding(8), JPEGDecoding(8, luma=True)]
)
def test_whatever_a_camera_decoded_the_model_gets_its_rule(
    ruled: Path, write_config: WriteConfig, how: JPEGDecoding | None
) -> None:
    """A camera may have decoded for the model before this one. The verdict has the picture's true
    size."""
    config = load_config(write_config(model={"path": str(ruled)}))
    judge = build_judge(config, build_inspector(config), Clock(), None)
    encoded = picture()
    wanted = judge(frame(encoded, *encoded.decode(JPEGDecoding(8))))
    pixels, reduced = (None, 1) if how is None else encoded.decode(how)
    found = judge(frame(encoded, pixels, reduced))
    assert found.verdict == "fail"
    assert found.score == wanted.score
    assert (found.frame_width, found.frame_height) == (501, 403)

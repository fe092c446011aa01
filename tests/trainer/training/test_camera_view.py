"""Trained on what the box will judge: the camera's view out of the box's config.yaml."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edge.core.view import ViewConfig
from tests.trainer.conftest import Draw
from trainer.cli.main import _train_parser, main
from trainer.cli.options import training_request
from trainer.data.dataset import Sample, load_dataset
from trainer.data.pictures import load_pictures
from trainer.training.input_choice import input_for, survey_pictures
from trainer.training.model_selection import candidate_settings
from trainer.training.seeds import settings_from_spec
from trainer.training.settings import default_settings

VIEW: dict[str, Any] = {"rotate": 90, "region": [0.5, 0, 0.5, 1]}


def config(folder: Path, *views: dict[str, Any] | None) -> Path:
    """A box's config.yaml with cameras a, b, … and these views."""
    cameras = [
        {"id": name, "source": "test:", **({} if view is None else {"view": view})}
        for name, view in zip("abc", views)
    ]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"station": "s", "cameras": cameras}))
    return path


def order(*options: str) -> Any:
    """What the command line asks for."""
    return training_request(_train_parser().parse_args(["data", "-o", "run", *options]))


@pytest.mark.parametrize("network", ["auto", "compact", "one-class"])
def test_the_view_reaches_every_network(network: str, tmp_path: Path) -> None:
    """--view stands in the recipe and in the input of whatever is trained, and is recorded."""
    path = config(tmp_path, None, VIEW)
    asked = order("--view", f"{path}:b", "--region", "0,0,1,0.5", "--network", network)
    wanted = ViewConfig.read(VIEW)
    all_settings = (
        candidate_settings(asked.settings, 1000) if network == "auto" else (asked.settings,)
    )
    for settings in all_settings:
        assert settings.view == wanted
        if network != "one-class":
            assert input_for(settings).view == wanted
            assert input_for(settings).region == (0.0, 0.0, 1.0, 0.5)
        said = settings.as_json()
        assert said["view"] == VIEW
        assert settings_from_spec(said).view == wanted
    assert "view" not in default_settings("compact").as_json()


def test_pictures_are_cut_before_they_are_learned(tmp_path: Path) -> None:
    """What the network gets is the viewed part, not the whole."""
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20, :] = 200  # turned clockwise, the top is on the right
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), pixels)
    sample = Sample(path, path.name, "ok", "g", "train")
    settings = default_settings("baseline")
    seen = load_pictures([sample], input_for(settings.replace(view=ViewConfig.read(VIEW))))
    whole = load_pictures([sample], input_for(settings))
    assert (seen == 200).all()
    assert not (whole == 200).all()


def test_what_is_said_of_the_pictures_is_of_what_the_view_leaves(draw_dataset: Draw) -> None:
    """Sizes are those of the viewed part."""
    settings = default_settings("compact").replace(view=ViewConfig.read(VIEW))
    seen = survey_pictures(load_dataset(draw_dataset(4)), input_for(settings))
    assert (seen.width, seen.height) == (12, 24)


@pytest.mark.parametrize(
    ("views", "name", "words"),
    [
        ((VIEW, VIEW), "", "several cameras; give {path}:CAMERA, which is one of a, b"),
        ((VIEW,), ":x", "no camera 'x'"),
        ((None,), "", "camera a has no view"),
        (({"rotate": 45},), "", "view.rotate: must be 0, 90, 180 or 270"),
        (({"turn": 90},), "", "view.turn: unknown key"),
        (({"region": [10, 10, 50, 50]},), "", "write it in fractions"),
        (({"regions": [{"id": "l", "region": [0, 0, 0.5, 1]}]},), "", "several regions"),
    ],
)
def test_a_view_that_cannot_be_taken_is_a_usage_error(
    views: tuple[dict[str, Any] | None, ...],
    name: str,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2 and one sentence with the file and the mend."""
    path = config(tmp_path, *views)
    assert main(["data", "-o", "run", "--view", f"{path}{name}"]) == 2
    said = capsys.readouterr().err
    assert words.format(path=path) in said
    assert str(path) in said
    assert "Traceback" not in said


@pytest.mark.parametrize("text", [None, "a: [", "cameras: 3", "- 1"])
def test_a_file_that_is_no_config_is_a_usage_error(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is missing, no YAML, or lists no cameras."""
    path = tmp_path / "box.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["data", "-o", "run", "--view", str(path)]) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert "Traceback" not in said

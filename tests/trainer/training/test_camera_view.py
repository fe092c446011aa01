"""Training with the camera's view from the box's config.yaml."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edge.core.view import ViewConfig
from tests.trainer.conftest import Draw
from trainer.cli.main import main, train_parser
from trainer.cli.options import training_request
from trainer.data.dataset import Sample, load_dataset
from trainer.data.pictures import load_pictures
from trainer.training.input_choice import input_for, survey_pictures
from trainer.training.model_selection import candidate_settings
from trainer.training.seeds import settings_from_spec
from trainer.training.settings import TrainingRequest, default_settings

VIEW: dict[str, Any] = {"rotate": 90, "region": [0.5, 0, 0.5, 1]}


def config(folder: Path, *views: dict[str, Any] | None) -> Path:
    """Writes a config.yaml with cameras a, b, … and these views."""
    cameras = [
        {"id": name, "source": "test:", **({} if view is None else {"view": view})}
        for name, view in zip("abc", views)
    ]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"station": "s", "cameras": cameras}))
    return path


def request(*options: str) -> TrainingRequest:
    """The training request of a command line."""
    return training_request(train_parser().parse_args(["data", "-o", "run", *options]))


@pytest.mark.parametrize("network", ["auto", "compact", "one-class"])
def test_the_view_reaches_every_network(network: str, tmp_path: Path) -> None:
    """--view reaches the settings and the input of every network, and the model file."""
    path = config(tmp_path, None, VIEW)
    found = request("--view", f"{path}:b", "--region", "0,0,1,0.5", "--network", network)
    view = ViewConfig.read(VIEW)
    all_settings = (
        candidate_settings(found.settings, 1000) if network == "auto" else (found.settings,)
    )
    for settings in all_settings:
        assert settings.view == view
        if network != "one-class":
            assert input_for(settings).view == view
            assert input_for(settings).region == (0.0, 0.0, 1.0, 0.5)
        recorded = settings.as_json()
        assert recorded["view"] == VIEW
        assert settings_from_spec(recorded).view == view
    assert "view" not in default_settings("compact").as_json()


def test_the_view_crops_training_pictures(tmp_path: Path) -> None:
    """The network gets the view and not the whole picture."""
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


def test_the_survey_is_of_the_view(draw_dataset: Draw) -> None:
    """The surveyed sizes are those of the view."""
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
def test_an_invalid_view_is_a_usage_error(
    views: tuple[dict[str, Any] | None, ...],
    name: str,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command exits with 2 and prints one sentence with file and fix."""
    path = config(tmp_path, *views)
    assert main(["data", "-o", "run", "--view", f"{path}{name}"]) == 2
    error = capsys.readouterr().err
    assert words.format(path=path) in error
    assert str(path) in error
    assert "Traceback" not in error


@pytest.mark.parametrize("text", [None, "a: [", "cameras: 3", "- 1"])
def test_a_file_that_is_no_config_is_a_usage_error(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is missing, no YAML, or lists no cameras."""
    path = tmp_path / "box.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["data", "-o", "run", "--view", str(path)]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert "Traceback" not in error

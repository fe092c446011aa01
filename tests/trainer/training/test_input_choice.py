"""The pictures decide the input of a network, with reasons."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError
from tests.trainer.conftest import Draw
from trainer.cli.options import training_request
from trainer.data.dataset import load_dataset
from trainer.training.input_choice import PictureSurvey, choose_input, input_for, survey_pictures
from trainer.training.settings import default_settings

WHOLE = (0.0, 0.0, 1.0, 1.0)
COMPACT, LITE, SMALL = (
    default_settings("compact"),
    default_settings("pretrained"),
    default_settings("pretrained-small"),
)


def _repaint(root: Path, picture: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Replaces every picture of the set by `picture` with a noisy middle."""
    for path in root.rglob("*.png"):
        copy = picture.copy()
        height, width = copy.shape[:2]
        middle = copy[height // 5 : -height // 5, width // 5 : -width // 5]
        middle[:] = rng.integers(40, 200, (*middle.shape[:2], 1))
        assert cv2.imwrite(str(path), copy)


def test_colour_follows_the_pictures(draw_dataset: Draw) -> None:
    """Networks for any colour take grey when all pictures are grey, and RGB when one is not."""
    root = draw_dataset(6)
    rng = np.random.default_rng(0)
    _repaint(root, np.full((50, 50, 3), 90, np.uint8), rng)
    for either in (COMPACT, SMALL):
        settings, why = choose_input(either, survey_pictures(load_dataset(root), input_for(either)))
        assert (settings.colour, input_for(settings).channels) == ("grey", 1)
        assert why[0].startswith("grey: 0% of")
    train = sorted((root / "train" / "ok").glob("*.png"))
    assert cv2.imwrite(str(train[0]), np.full((50, 50, 3), (20, 60, 200), np.uint8))
    kept = {sample.path for sample in load_dataset(root).of("train")}
    for path in train:
        if path in kept:
            assert cv2.imwrite(str(path), np.full((50, 50, 3), (20, 60, 200), np.uint8))
    for either in (COMPACT, SMALL):
        settings, why = choose_input(either, survey_pictures(load_dataset(root), input_for(either)))
        assert (settings.colour, input_for(settings).channels) == ("rgb", 3)
        assert why[0].startswith("RGB: ")


def test_a_border_that_never_changes_is_named(draw_dataset: Draw) -> None:
    """The region of changing pixels is proposed and not applied."""
    root = draw_dataset(6)
    _repaint(root, np.full((100, 100, 3), 90, np.uint8), np.random.default_rng(0))
    survey = survey_pictures(load_dataset(root), input_for(COMPACT))
    assert survey.still == pytest.approx((0.2, 0.2, 0.6, 0.6), abs=0.021)
    settings, why = choose_input(LITE, survey)
    assert settings.region is None
    assert "its border never changes, --region 0.2,0.2,0.6,0.6" in why[-1]


def test_the_reason_for_the_size_names_the_loss() -> None:
    """A strong reduction is named with the fix; small pictures are enlarged."""
    _, why = choose_input(LITE, PictureSurvey(10, 1920, 1080, 0.0, WHOLE))
    assert "mean of 5.6 × 5.6" in why[1]
    assert "--region" in why[1]
    _, why = choose_input(LITE, PictureSurvey(10, 96, 96, 0.0, WHOLE))
    assert "enlarged 2.0-fold" in why[1]


def test_pretrained_weights_take_three_channels() -> None:
    """Grey for a network with ImageNet weights is refused with the fix."""
    with pytest.raises(EdgeInspectError, match="--network pretrained-small or compact"):
        input_for(LITE.replace(colour="grey"))
    assert input_for(COMPACT.replace(colour="rgb")).shape == (128, 128, 3)


def test_the_region_reaches_every_network() -> None:
    """--region reaches the settings and the input of every network."""
    from trainer.cli.main import train_parser
    from trainer.training.model_selection import candidate_settings

    arguments = ["data", "-o", "run", "--region", "0.1,0,0.8,1"]
    auto = training_request(train_parser().parse_args(arguments))
    for settings in candidate_settings(auto.settings, 1000):
        assert input_for(settings).region == (0.1, 0.0, 0.8, 1.0)
    one = training_request(train_parser().parse_args([*arguments, "--network", "one-class"]))
    assert one.settings.region == (0.1, 0.0, 0.8, 1.0)


@pytest.mark.parametrize("text", ["0,0,1", "0,0,1.2,1", "a,b,c,d", "0.5,0,0,1"])
def test_a_region_outside_the_picture_is_a_usage_error(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command exits with 2 and prints one sentence."""
    from trainer.cli.main import main

    assert main(["data", "-o", "run", "--region", text]) == 2
    assert f"--region: {text} is not" in capsys.readouterr().err

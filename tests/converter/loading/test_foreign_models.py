"""Classifiers that edge-train did not make: converted correctly, or refused with the fix."""

from pathlib import Path

import numpy as np
import pytest

from converter.cli.main import main
from converter.loading.source_model import SourceOverrides, load_source_model
from converter.quantization.quantization_schemes import build_model
from edge.inspection.inspector import load_inspector
from tests.support.foreign_models import (
    FIVE,
    FOREIGN_MODELS,
    TWO,
    ForeignModel,
    draw,
    options_for,
    save,
)
from trainer.data.dataset import load_dataset
from trainer.data.pictures import load_pictures

pytestmark = pytest.mark.train
SIDE = 32
LARGE = {"DenseNet121", "EfficientNetB0", "ResNet50"}  # each takes a minute or more
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Path]:
    """A data set for each choice of labels."""
    found: dict[tuple[str, ...], Path] = {}
    for labels in (TWO, FIVE, ("ok", "dark")):
        found[labels] = draw(tmp_path_factory.mktemp("set") / "data", labels, 60)
    return found


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(f, id=f.name, marks=pytest.mark.campaign if f.name in LARGE else ())
        for f in FOREIGN_MODELS
    ],
)
def test_each_is_converted_correctly_or_refused_with_the_fix(
    foreign: ForeignModel, sets: dict[tuple[str, ...], Path], tmp_path: Path, capsys: Captured
) -> None:
    """The file gives the scores of the source model on every test picture. Otherwise there is no
    file, and the sentence names the layer and the fix."""
    data, output = sets[foreign.labels], tmp_path / "out.tflite"
    path = save(foreign, data, tmp_path, SIDE)
    options = options_for(foreign, SIDE)
    call = [str(path), "--data", str(data), "-o", str(output), *options]
    # one flip among about thirty pictures is over the default limit; scores are compared below
    forced = ["--max-flips", "20", "--without-tflite-runtime", "--scheme"]
    forced.append("float16" if foreign.random else "int8-float-head")
    code = main([*call, *forced])
    message = capsys.readouterr().err
    if foreign.refused:
        assert code == 2
        assert not output.exists()
        assert all(words in message for words in foreign.refused), message
        return
    assert code == 0, message
    inspector = load_inspector(output)
    inspector.check_golden()
    source = load_source_model(
        path,
        SourceOverrides(
            labels=foreign.labels,
            scaling=foreign.scaling,
            output="logits" if "--output-kind" in options else None,
            input_size=(SIDE, SIDE) if "--input-size" in options else None,
        ),
    )
    pictures = load_pictures(load_dataset(data).of("test"), source.input)
    wanted = 1 - source.probabilities(pictures)[:, foreign.labels.index("ok")]
    found = np.array([inspector.judge(picture).score for picture in pictures])
    assert np.abs(found - wanted).max() < 0.15
    assert np.corrcoef(found, wanted)[0, 1] > 0.98
    assert wanted.max() - wanted.min() > 0.5
    assert build_model("int8-float-head", source.frozen, pictures[:4], "m").body is not None


@pytest.mark.usefixtures("tensorflow")
def test_a_lambda_runs_only_when_it_is_allowed(
    sets: dict[tuple[str, ...], Path], tmp_path: Path
) -> None:
    """With --allow-code, a model with a Lambda layer converts."""
    (foreign,) = (each for each in FOREIGN_MODELS if each.name == "lambda layer")
    path, output = save(foreign, sets[TWO], tmp_path, SIDE), tmp_path / "out.tflite"
    call = [str(path), "--data", str(sets[TWO]), "-o", str(output), *options_for(foreign, SIDE)]
    forced = ("--scheme", "float32", "--without-tflite-runtime")
    assert main([*call, *forced]) == 2
    assert not output.exists()
    assert main([*call, *forced, "--allow-code"]) == 0
    assert load_inspector(output).check_golden() > 0

"""A model ready to judge: valid and refused files, with every installed runtime."""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.core.errors import EXIT_NO, MissingPartError, ModelError, RefusedError
from edge.core.terms import Runtime
from edge.inspection.decision import Thresholds
from edge.inspection.inspector import Inspector, Overrides, load_inspector
from edge.inspection.interpreter import TFLiteClassifier, runtime_module
from edge.inspection.model_file import GoldenPicture, OutputSpec
from edge.inspection.preprocessing import InputSpec
from tests.edge.inspection.conftest import Repack, reshaped
from tests.models.make import GAIN, redness
from tests.support.frames import solid
from tests.support.runtimes import installed_runtimes

pytestmark = pytest.mark.inference

STEP = 1 / 255
PLAIN = Overrides(labels=("ok", "red"), reject_at=0.6)


def score(inspector: Inspector, pixels: NDArray[np.uint8]) -> float:
    """The score of a frame."""
    return inspector.judge(inspector.prepare(pixels)).score


@pytest.fixture
def inspector(redness_model: Path, runtime: Runtime) -> Inspector:
    """The packed model on one runtime."""
    return load_inspector(redness_model, runtime=runtime)


@pytest.mark.parametrize("red", [0, 60, 110, 127, 140, 200, 255])
def test_score_is_what_the_weights_say(red: int, inspector: Inspector) -> None:
    """The score is the logistic function of mean red that the model was made for."""
    assert score(inspector, solid(red)) == pytest.approx(redness(red), abs=STEP)


def test_red_is_not_blue(inspector: Inspector) -> None:
    """A red part fails and a blue one passes: the camera's BGR arrives as RGB."""
    assert inspector.judge(inspector.prepare(solid(255, blue=0))).outcome == "fail"
    assert inspector.judge(inspector.prepare(solid(0, blue=255))).outcome == "pass"


def test_every_pixel_counts(inspector: Inspector) -> None:
    """Red in one column of four moves the score by its area, as no other resize method has it."""
    pixels = solid(0, side=64)
    pixels[:, ::4, 2] = 255
    assert score(inspector, pixels) == pytest.approx(redness(255 / 4), abs=STEP)
    for method in (cv2.INTER_NEAREST, cv2.INTER_LINEAR):
        other = np.asarray(cv2.resize(pixels, (16, 16), interpolation=method), np.uint8)
        assert abs(score(inspector, other) - redness(255 / 4)) > 10 * STEP


def test_score_exactly_on_the_threshold_fails(redness_model: Path, runtime: Runtime) -> None:
    """With reject_at at a part's own score it fails, a hair above it does not."""
    exact = score(load_inspector(redness_model, runtime=runtime), solid(128))
    for reject_at, outcome in ((exact, "fail"), (math.nextafter(exact, 1), "review")):
        overrides = Overrides(reject_at=reject_at, review_from=exact)
        again = load_inspector(redness_model, overrides, runtime)
        assert again.judge(again.prepare(solid(128))).outcome == outcome


def test_temperature_divides_the_logits(repack: Repack, runtime: Runtime) -> None:
    """The model file's temperature is applied to its logits."""
    path = repack(spec={"output": OutputSpec(kind="logits", temperature=2.0), "golden": ()})
    expected = 1 / (1 + math.exp(-GAIN / 2 * (200 / 255 - 0.5)))
    assert score(load_inspector(path, runtime=runtime), solid(200)) == pytest.approx(
        expected, abs=STEP
    )


def test_golden_pictures_score_as_tested(inspector: Inspector) -> None:
    """The golden pictures of a good model hold, and are counted."""
    assert inspector.check_golden() == 3


def test_golden_mismatch_refuses(repack: Repack, runtime: Runtime) -> None:
    """A golden picture that scores otherwise on this box refuses the model, exit code 1."""
    wrong = (GoldenPicture(file="golden/red-120.png", label="ok", score=0.47),)
    inspector = load_inspector(repack(spec={"golden": wrong}), runtime=runtime)
    with pytest.raises(RefusedError, match=r"golden/red-120\.png scores 0\.4.* and 0\.4700") as no:
        inspector.check_golden()
    assert no.value.exit_code == EXIT_NO
    assert "model.interpreter" in str(no.value)


def rounds_otherwise(share: float, off: int) -> Callable[..., NDArray[np.uint8]]:
    """`cv2.resize` of a processor that rounds that share of all pixels otherwise, by `off`."""
    ours = cv2.resize

    def resize(*given: Any, **options: Any) -> NDArray[np.uint8]:
        picture = np.asarray(ours(*given, **options), np.uint8)
        flat = picture.reshape(-1, 3)
        flat[: round(share * len(flat))] += np.uint8(off)
        return picture

    return resize


def with_large_golden(repack: Repack) -> Path:
    """A model whose one golden picture must be reduced to what the model takes, by 2.5."""
    picture = cv2.imencode(".png", solid(120, side=40))[1].tobytes()
    golden = (GoldenPicture(file="golden/large.png", label="ok", score=redness(120)),)
    return repack(spec={"golden": golden}, golden={"golden/large.png": picture})


def test_golden_pictures_hold_on_other_processors(
    repack: Repack, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where OpenCV rounds a few averages otherwise (ARM), the box takes the model all the same."""
    inspector = load_inspector(with_large_golden(repack), runtime=runtime)
    before = score(inspector, solid(120, side=40))
    monkeypatch.setattr(cv2, "resize", rounds_otherwise(0.04, 60))
    assert abs(score(inspector, solid(120, side=40)) - before) > STEP, "the test shows nothing"
    assert inspector.check_golden() == 1


def test_golden_picture_prepared_otherwise_refuses(
    repack: Repack, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OpenCV that prepares pictures otherwise than the model was tested with is refused."""
    inspector = load_inspector(with_large_golden(repack), runtime=runtime)
    monkeypatch.setattr(cv2, "resize", rounds_otherwise(0.5, 1))
    with pytest.raises(RefusedError, match=r"golden/large\.png: 50% of its values are prepared"):
        inspector.check_golden()


def test_golden_picture_that_is_missing(repack: Repack, runtime: Runtime) -> None:
    """A golden picture that is named but not inside refuses the model."""
    inspector = load_inspector(repack(golden={}), runtime=runtime)
    with pytest.raises(ModelError, match=r"golden/red-0\.png is missing"):
        inspector.check_golden()


def test_plain_model_needs_labels_and_threshold(plain_model: Path, runtime: Runtime) -> None:
    """A plain .tflite runs when config.yaml names labels and reject_at; else it says so."""
    with pytest.raises(ModelError, match=r"names no labels; list them.*model\.labels"):
        load_inspector(plain_model, runtime=runtime)
    with pytest.raises(ModelError, match=r"no thresholds; set decision\.reject_at"):
        load_inspector(plain_model, Overrides(labels=("ok", "red")), runtime)
    inspector = load_inspector(plain_model, PLAIN, runtime)
    assert inspector.thresholds == Thresholds(reject_at=0.6, review_from=0.6, chosen="config.yaml")
    assert score(inspector, solid(200)) == pytest.approx(redness(200), abs=1.5 * STEP)
    assert inspector.check_golden() == 0


def test_config_overrides_thresholds_only_as_far_as_it_says(
    redness_model: Path, runtime: Runtime
) -> None:
    """A threshold of config.yaml replaces the model's own, the other stays."""
    at = load_inspector(redness_model, Overrides(reject_at=0.9), runtime).thresholds
    assert (at.reject_at, at.review_from, at.chosen) == (0.9, 0.4, "config.yaml")
    own = load_inspector(redness_model, runtime=runtime).thresholds
    assert (own.reject_at, own.review_from, own.chosen) == (0.6, 0.4, "by hand, for the tests")
    with pytest.raises(ModelError, match=r"review_from 0\.4 is above reject_at 0\.3"):
        load_inspector(redness_model, Overrides(reject_at=0.3), runtime)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (Overrides(labels=("red", "ok")), "remove model.labels from config.yaml"),
        (Overrides(labels=("ok", "dent")), "the file says ['ok', 'red']"),
    ],
)
def test_labels_of_config_contradict_the_file(
    overrides: Overrides, words: str, redness_model: Path, runtime: Runtime
) -> None:
    """Labels in both places must agree, including their order."""
    with pytest.raises(ModelError) as caught:
        load_inspector(redness_model, overrides, runtime)
    assert words in str(caught.value)


def test_one_label_an_output(repack: Repack, plain_model: Path, runtime: Runtime) -> None:
    """Three labels for two outputs are refused, from the file and from config.yaml."""
    three = ("ok", "red", "blue")
    with pytest.raises(ModelError, match="has 2 outputs but 3 labels"):
        load_inspector(repack(labels=three), runtime=runtime)
    with pytest.raises(ModelError, match="has 2 outputs but 3 labels"):
        load_inspector(plain_model, Overrides(labels=three, reject_at=0.5), runtime)


def test_good_class_is_among_the_labels(plain_model: Path, runtime: Runtime) -> None:
    """Without the good class among the labels there is no score, so the model is refused."""
    overrides = Overrides(labels=("good", "red"), reject_at=0.6)
    with pytest.raises(ModelError, match=r"'ok' is not among the labels.*set model\.ok_label"):
        load_inspector(plain_model, overrides, runtime)
    named = replace(overrides, ok_label="good")
    assert score(load_inspector(plain_model, named, runtime), solid(255)) > 0.9


def test_recipe_and_input_must_agree(repack: Repack, runtime: Runtime) -> None:
    """Preprocessing to 24×24 does not fit an input of 16×16."""
    with pytest.raises(ModelError, match=r"\[24, 24, 3\] but its input takes \[16, 16, 3\]"):
        load_inspector(repack(spec={"input": InputSpec(width=24, height=24)}), runtime=runtime)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 4, 4, 3), "pictures of 4×4; only 8 to 1024"),
        ((1, 2048, 16, 3), "pictures of 16×2048; only 8 to 1024"),
        ((2, 16, 16, 3), "shape [2, 16, 16, 3]"),
    ],
)
def test_input_that_takes_no_picture(
    shape: tuple[int, ...], words: str, tflite: bytes, tmp_path: Path, runtime: Runtime
) -> None:
    """A plain model with an unsupported input size is refused with its shape."""
    path = tmp_path / "odd.tflite"
    path.write_bytes(reshaped(tflite, *shape))
    with pytest.raises(ModelError) as caught:
        load_inspector(path, replace(PLAIN, output="logits"), runtime)
    assert words in str(caught.value)


def test_logits_taken_for_probabilities_are_found_out(
    tflite: bytes, tmp_path: Path, runtime: Runtime
) -> None:
    """Logits are refused where probabilities are configured."""
    path = tmp_path / "plain.tflite"
    path.write_bytes(tflite)
    with pytest.raises(ModelError, match="say `output: logits`"):
        score(load_inspector(path, PLAIN, runtime), solid(255))
    logits = load_inspector(path, replace(PLAIN, output="logits"), runtime)
    assert score(logits, solid(255)) == pytest.approx(redness(255), abs=STEP)


def test_classifier_takes_nothing_but_its_shape(tflite: bytes, runtime: Runtime) -> None:
    """A picture of a wrong shape or type is a ModelError, not a crash of the runtime."""
    classifier = TFLiteClassifier(tflite, "a", runtime)
    for wrong in (np.zeros((16, 15, 3), np.uint8), np.zeros((16, 16, 3), np.int8)):
        with pytest.raises(ModelError, match="wanted"):
            classifier(wrong)  # type: ignore[arg-type]


def test_runtime_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that is not installed is named with the command that installs it."""
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(MissingPartError, match=r"run: pip install .*tflite-runtime"):
        runtime_module("tflite-runtime")


if len(installed_runtimes()) > 1:  # a box has one; no skip, since there is nothing to install

    def test_runtimes_agree(redness_model: Path) -> None:
        """Both runtimes give every picture the same score within 1/255."""
        first, second = (load_inspector(redness_model, runtime=r) for r in installed_runtimes())
        for red in range(0, 256, 5):
            assert abs(score(first, solid(red)) - score(second, solid(red))) <= STEP

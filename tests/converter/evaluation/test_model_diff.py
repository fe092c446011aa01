"""edge-convert compare: the pictures that get different verdicts, and their contact sheet."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from converter.cli.main import main
from converter.convert import Conversion
from converter.evaluation.model_diff import diff_models
from edge.inspection.decision import Thresholds
from edge.inspection.model_file import load_model_file, pack_model_file

Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.train


def _with_thresholds(
    conversion: Conversion, path: Path, reject_at: float, review_from: float
) -> Path:
    """The same model with other thresholds."""
    file = load_model_file(conversion.path)
    assert file.spec is not None
    assert file.labels is not None
    assert conversion.chosen.built_model is not None
    thresholds = Thresholds(reject_at=reject_at, review_from=review_from)
    spec = file.spec.replace(thresholds=thresholds)
    tflite = conversion.chosen.built_model.tflite
    path.write_bytes(pack_model_file(tflite, file.labels, spec, dict(file.golden)))
    return path


def test_a_model_does_not_differ_from_itself(
    conversion: Conversion, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """No picture differs, and no sheet is written."""
    sheet = tmp_path / "sheet.png"
    path = str(conversion.path)
    assert main(["compare", path, path, "--data", str(data), "--sheet", str(sheet)]) == 0
    assert "0 of 60 test pictures get different verdicts" in capsys.readouterr().out
    assert not sheet.exists()


def test_differences_are_listed_flips_first_and_drawn(
    conversion: Conversion, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Every picture with different verdicts is listed with both scores."""
    strict = _with_thresholds(conversion, tmp_path / "strict.tflite", 0.0, 0.0)
    lax = _with_thresholds(conversion, tmp_path / "lax.tflite", 1.0, 0.999)
    sheet = tmp_path / "sheet.png"
    call = ["compare", str(strict), str(lax), "--data", str(data), "--sheet", str(sheet)]
    assert main(call) == 0
    text = capsys.readouterr().out
    found = diff_models(strict, lax, data)
    assert found.pictures == 60
    assert len(found.differing) == 60
    assert all(each.outcomes[0] == "fail" for each in found.differing)
    flips = [each.flips for each in found.differing]
    assert flips == sorted(flips, reverse=True)
    assert any(flips)
    assert all(each.sample.file in text for each in found.differing)
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[1] > 1000
    assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 100


def test_keras_and_tflite_are_compared_alike(
    conversion: Conversion, trained: Path, data: Path
) -> None:
    """Float and converted model differ by the figures in the file."""
    found = diff_models(trained, conversion.path, data)
    score_diff = conversion.chosen.score_diff
    assert score_diff is not None
    assert found.largest_change == pytest.approx(score_diff.largest_change, abs=1e-6)
    assert found.aurocs == pytest.approx((score_diff.auroc_float, score_diff.auroc_int8))


def test_models_of_other_classes_are_not_compared(
    conversion: Conversion, data: Path, redness_model: Path, capsys: Captured
) -> None:
    """The sentence names both models with their classes."""
    call = ["compare", str(conversion.path), str(redness_model), "--data", str(data)]
    assert main(call) == 2
    text = capsys.readouterr().err
    assert "rust" in text
    assert "red" in text
    assert "same classes" in text


def test_a_plain_tflite_has_no_thresholds(
    conversion: Conversion, data: Path, plain_model: Path, capsys: Captured
) -> None:
    """A plain .tflite is refused in one sentence."""
    assert main(["compare", str(plain_model), str(conversion.path), "--data", str(data)]) == 2
    assert "plain" in capsys.readouterr().err


def test_a_sheet_must_be_a_png_that_can_be_written(
    conversion: Conversion, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """A bad sheet path is refused before any work."""
    path = str(conversion.path)
    for bad in (tmp_path / "sheet.gif", tmp_path / "nowhere" / "sheet.png"):
        assert main(["compare", path, path, "--data", str(data), "--sheet", str(bad)]) == 2
        assert "--sheet" in capsys.readouterr().err

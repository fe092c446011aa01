"""edge-convert compare: which pictures two models judge differently, and a sheet of them."""

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


def _with_lines(conversion: Conversion, path: Path, reject_at: float, review_from: float) -> Path:
    """The same model with other thresholds."""
    file = load_model_file(conversion.path)
    assert file.spec is not None
    assert file.labels is not None
    assert conversion.chosen.built_model is not None
    lines = Thresholds(reject_at=reject_at, review_from=review_from)
    spec = file.spec.replace(thresholds=lines)
    tflite = conversion.chosen.built_model.tflite
    path.write_bytes(pack_model_file(tflite, file.labels, spec, dict(file.golden)))
    return path


def test_a_model_does_not_differ_from_itself(
    conversion: Conversion, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Nothing differs, no sheet is drawn, and it says so."""
    sheet = tmp_path / "sheet.png"
    path = str(conversion.path)
    assert main(["compare", path, path, "--data", str(data), "--sheet", str(sheet)]) == 0
    assert "0 of 60 test pictures are judged differently" in capsys.readouterr().out
    assert not sheet.exists()


def test_differences_are_listed_flips_first_and_drawn(
    conversion: Conversion, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Every picture between the two lines is named, with both scores and verdicts."""
    strict = _with_lines(conversion, tmp_path / "strict.tflite", 0.0, 0.0)
    lax = _with_lines(conversion, tmp_path / "lax.tflite", 1.0, 0.999)
    sheet = tmp_path / "sheet.png"
    call = ["compare", str(strict), str(lax), "--data", str(data), "--sheet", str(sheet)]
    assert main(call) == 0
    said = capsys.readouterr().out
    found = diff_models(strict, lax, data)
    assert found.pictures == 60
    assert len(found.differing) == 60
    assert all(each.outcomes[0] == "fail" for each in found.differing)
    flips = [each.flips for each in found.differing]
    assert flips == sorted(flips, reverse=True)
    assert any(flips)
    assert all(each.sample.file in said for each in found.differing)
    drawn = cv2.imread(str(sheet))
    assert drawn is not None
    assert drawn.shape[1] > 1000
    assert np.unique(drawn.reshape(-1, 3), axis=0).shape[0] > 100


def test_keras_and_tflite_are_compared_alike(
    conversion: Conversion, trained: Path, data: Path
) -> None:
    """The model before and after conversion: the scores differ by what the file says."""
    found = diff_models(trained, conversion.path, data)
    compared = conversion.chosen.compared
    assert compared is not None
    assert found.largest_change == pytest.approx(compared.largest_change, abs=1e-6)
    assert found.aurocs == pytest.approx((compared.auroc_float, compared.auroc_int8))


def test_models_of_other_classes_are_not_compared(
    conversion: Conversion, data: Path, redness_model: Path, capsys: Captured
) -> None:
    """Both sides are named with their classes."""
    call = ["compare", str(conversion.path), str(redness_model), "--data", str(data)]
    assert main(call) == 2
    said = capsys.readouterr().err
    assert "rust" in said
    assert "red" in said
    assert "same classes" in said


def test_a_plain_tflite_has_no_lines_to_judge_by(
    conversion: Conversion, data: Path, plain_model: Path, capsys: Captured
) -> None:
    """It is refused in one sentence."""
    assert main(["compare", str(plain_model), str(conversion.path), "--data", str(data)]) == 2
    assert "plain" in capsys.readouterr().err


def test_a_sheet_must_be_a_png_that_can_be_written(
    conversion: Conversion, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Told before any work."""
    path = str(conversion.path)
    for bad in (tmp_path / "sheet.gif", tmp_path / "nowhere" / "sheet.png"):
        assert main(["compare", path, path, "--data", str(data), "--sheet", str(bad)]) == 2
        assert "--sheet" in capsys.readouterr().err

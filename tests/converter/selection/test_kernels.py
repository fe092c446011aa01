"""Where two runtimes round int8 otherwise than each other, the kernels that both have judge."""

import dataclasses
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from converter import convert as convert_module
from converter.convert import Conversion, ConversionRequest, convert
from converter.report.text import model_text, schemes_text
from converter.tflite.runtimes import LocalRuntime, Rows, Runner, find_runners
from edge.core.errors import RefusedError
from edge.core.terms import Kernels
from edge.inspection.inspector import load_inspector
from edge.inspection.interpreter import TFLiteClassifier
from edge.inspection.model_file import load_model_file

pytestmark = pytest.mark.train


@dataclass(frozen=True, slots=True)
class Rounding:
    """A runtime that rounds otherwise than the one it wraps, but with built-in kernels."""

    inner: Runner
    always: bool
    kernels: Kernels = "quickest"

    @property
    def name(self) -> str:
        return "older-runtime 1.0"

    def with_kernels(self, kernels: Kernels) -> "Rounding":
        return Rounding(self.inner.with_kernels(kernels), self.always, kernels)

    def rows(self, tflite: bytes, pictures: NDArray[np.uint8], model: str) -> tuple[Rows, float]:
        rows, milliseconds = self.inner.rows(tflite, pictures, model)
        if self.always or self.kernels == "quickest":
            rows = rows + np.array([0.0, 0.1], np.float32)
        return rows, milliseconds


def _with_older(monkeypatch: pytest.MonkeyPatch, *, always: bool) -> None:
    here = find_runners(older=False)[0]
    runners = (here, Rounding(here, always))
    monkeypatch.setattr(convert_module, "find_runners", lambda *_, **__: runners)


def test_int8_is_taken_with_the_kernels_that_both_runtimes_have(
    trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file says with which kernels it was tested, and the daemon uses those."""
    _with_older(monkeypatch, always=False)
    output = tmp_path / "m.tflite"
    done = convert(ConversionRequest(trained, data, output))
    assert [trial.label for trial in done.selection.trials[:3]] == [
        "int8-float-head",
        "int8-float-head, built-in",
        "int8",
    ]
    assert done.chosen is done.selection.trials[1]
    assert done.chosen.runtime_difference == 0
    assert done.spec.kernels == "built-in"
    assert load_inspector(output).check_golden() == 8
    said = model_text(load_model_file(output))
    assert "with built-in kernels, which both round alike" in said
    assert "--without-tflite-runtime takes int8-float-head" in schemes_text(done.selection)


def test_what_no_kernels_bring_together_is_refused(
    trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that judges otherwise with any scheme and any kernels: nothing is written."""
    _with_older(monkeypatch, always=True)
    with pytest.raises(RefusedError, match=r"older-runtime 1\.0 differs by"):
        convert(ConversionRequest(trained, data, tmp_path / "m.tflite"))
    assert list(tmp_path.iterdir()) == []


def test_the_usual_kernels_are_not_written_down(conversion: Conversion) -> None:
    """A file with the quickest kernels has no such key: boxes from before know none."""
    with zipfile.ZipFile(conversion.path) as archive:
        assert "kernels" not in json.loads(archive.read("inspection.json"))
    spec = load_model_file(conversion.path).spec
    assert spec is not None
    assert spec.kernels == "quickest"


def test_kernels_are_another_code_for_the_same_network(conversion: Conversion) -> None:
    """Both sorts run the file and come to nearly the same numbers."""
    assert conversion.chosen.built_model is not None
    tflite, pictures = (
        conversion.chosen.built_model.tflite,
        conversion.evaluation_set.test.pictures[:20],
    )
    runner = find_runners(older=False)[0]
    assert isinstance(runner, LocalRuntime)
    rows = [
        changed.rows(tflite, pictures, "m")[0]
        for changed in (runner, dataclasses.replace(runner, kernels="built-in"))
    ]
    assert np.abs(rows[0] - rows[1]).max() < 0.5
    assert np.corrcoef(rows[0][:, 0], rows[1][:, 0])[0, 1] > 0.99
    quickest, built_in = (
        TFLiteClassifier(tflite, "m", kernels=kernels) for kernels in ("quickest", "built-in")
    )
    assert quickest(pictures[0]).shape == built_in(pictures[0]).shape

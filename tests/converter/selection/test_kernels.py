"""When two runtimes round int8 differently, the built-in kernels of both are used."""

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
class RoundingRuntime:
    """Wraps a runtime and rounds differently, except with built-in kernels."""

    inner: Runner
    with_all_kernels: bool
    kernels: Kernels = "quickest"

    @property
    def name(self) -> str:
        return "older-runtime 1.0"

    def with_kernels(self, kernels: Kernels) -> "RoundingRuntime":
        return RoundingRuntime(self.inner.with_kernels(kernels), self.with_all_kernels, kernels)

    def rows(self, tflite: bytes, pictures: NDArray[np.uint8], model: str) -> tuple[Rows, float]:
        rows, milliseconds = self.inner.rows(tflite, pictures, model)
        if self.with_all_kernels or self.kernels == "quickest":
            rows = rows + np.array([0.0, 0.1], np.float32)
        return rows, milliseconds


def _with_older(monkeypatch: pytest.MonkeyPatch, *, with_all_kernels: bool) -> None:
    here = find_runners(older=False)[0]
    runners = (here, RoundingRuntime(here, with_all_kernels))
    monkeypatch.setattr(convert_module, "find_runners", lambda *_, **__: runners)


def test_int8_is_taken_with_the_kernels_that_both_runtimes_have(
    trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file names the tested kernels, and the daemon uses them."""
    _with_older(monkeypatch, with_all_kernels=False)
    output = tmp_path / "m.tflite"
    conversion = convert(ConversionRequest(trained, data, output))
    assert [trial.label for trial in conversion.selection.trials[:3]] == [
        "int8-float-head",
        "int8-float-head, built-in",
        "int8",
    ]
    assert conversion.chosen is conversion.selection.trials[1]
    assert conversion.chosen.runtime_difference == 0
    assert conversion.spec.kernels == "built-in"
    assert load_inspector(output).check_golden() == 8
    text = model_text(load_model_file(output))
    assert "with built-in kernels, which round alike in both" in text
    assert "--without-tflite-runtime takes int8-float-head" in schemes_text(conversion.selection)


def test_runtimes_that_never_agree_are_refused(
    trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime that differs with every scheme and all kernels: no file is written."""
    _with_older(monkeypatch, with_all_kernels=True)
    with pytest.raises(RefusedError, match=r"older-runtime 1\.0 differs by"):
        convert(ConversionRequest(trained, data, tmp_path / "m.tflite"))
    assert list(tmp_path.iterdir()) == []


def test_the_default_kernels_are_not_recorded(conversion: Conversion) -> None:
    """A file with the quickest kernels has no key `kernels`, which older boxes do not know."""
    with zipfile.ZipFile(conversion.path) as archive:
        assert "kernels" not in json.loads(archive.read("inspection.json"))
    spec = load_model_file(conversion.path).spec
    assert spec is not None
    assert spec.kernels == "quickest"


def test_both_kernels_give_nearly_the_same_rows(conversion: Conversion) -> None:
    """The quickest and the built-in kernels give nearly the same rows."""
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

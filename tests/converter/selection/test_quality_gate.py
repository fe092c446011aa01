"""The quality gate: its limits, and conversions that are bad on purpose."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from converter import convert as conversion_module
from converter.convert import ConversionRequest, convert
from converter.evaluation.layer_errors import LayerDeviation
from converter.evaluation.score_diff import ScoreDiff, compare_scores
from converter.loading.frozen_graph import DenseHead, FrozenGraph
from converter.quantization.calibration import CalibrationSet, choose_calibration
from converter.quantization.quantization_schemes import BuiltModel, build_model
from converter.selection import scheme_selection as selection_module
from converter.selection.quality_gate import GateLimits, check_calibration, objections
from converter.selection.scheme_trial import RuntimeResult, SchemeTrial
from edge.core.errors import RefusedError
from edge.core.image import read_picture
from edge.inspection.decision import Thresholds
from edge.inspection.preprocessing import InputSpec, preprocess
from trainer.data.dataset import Sample, load_dataset
from trainer.data.pictures import load_pictures

COMPARED = ScoreDiff(1000, (), 3, 0.95, 0.949, 0.02)
GOOD = SchemeTrial(
    "int8",
    (),
    score_diff=COMPARED,
    runtime_results=(RuntimeResult("a", 0, 1), RuntimeResult("b", 0.001, 1)),
)


def test_a_good_trial_passes() -> None:
    """Figures within the limits give no objection."""
    assert objections(GOOD, GateLimits()) == []


@given(flips=st.integers(0, 1000), limit=st.floats(0, 1))
def test_flips_are_counted_against_the_limit(flips: int, limit: float) -> None:
    """A trial is refused exactly when the share of flips is above the limit."""
    score_diff = dataclasses.replace(COMPARED, flips=tuple(map(str, range(flips))))
    trial = dataclasses.replace(GOOD, score_diff=score_diff)
    assert bool(objections(trial, GateLimits(max_flips=limit))) == (flips / 1000 > limit)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"flips": ("a",) * 6}, "6 of 1000 test verdicts (0.6%) flip"),
        ({"auroc_int8": 0.9}, "AUROC falls from 0.9500 to 0.9000"),
        ({"auroc_int8": float("nan")}, "AUROC falls"),
        ({"mean_change": 0.2}, "scores change by 0.2000 on average"),
    ],
)
def test_every_loss_is_named_with_its_numbers(changed: dict[str, Any], words: str) -> None:
    """Each loss alone is an objection, and the sentence has its figures."""
    score_diff = dataclasses.replace(COMPARED, **changed)
    (objection,) = objections(dataclasses.replace(GOOD, score_diff=score_diff), GateLimits())
    assert words in objection


@pytest.mark.parametrize("difference", [0.005, float("nan")])
def test_runtimes_must_agree(difference: float) -> None:
    """A difference of more than 1/255 between two runtimes, or NaN, is refused."""
    trial = dataclasses.replace(
        GOOD, runtime_results=(RuntimeResult("a", 0, 1), RuntimeResult("b", difference, 1))
    )
    (objection,) = objections(trial, GateLimits())
    assert "b differs by" in objection


def test_a_clipped_layer_is_named() -> None:
    """A range that is too small for a layer is refused, whatever the scores."""
    layers = (LayerDeviation("conv1", 0.1, 0.0), LayerDeviation("conv2", 0.2, 0.1))
    (objection,) = objections(dataclasses.replace(GOOD, layers=layers), GateLimits())
    assert "'conv2' clips 10.0%" in objection


def test_moves_through_review_are_no_flips() -> None:
    """Only pass against fail is a flip. Moves into and out of review are counted separately."""
    before = np.array([0.1, 0.1, 0.9, 0.5, 0.9])
    after = np.array([0.9, 0.5, 0.5, 0.1, 0.9])
    found = compare_scores(
        list("abcde"),
        before,
        after,
        np.array([False, False, True, False, True]),
        Thresholds(reject_at=0.8, review_from=0.3),
    )
    assert found.flips == ("a",)
    assert found.review_moves == 3
    assert found.largest_change == pytest.approx(0.8)
    assert found.mean_change == pytest.approx(0.4)
    assert found.flip_share == pytest.approx(0.2)


Spoil = Callable[[tuple[Sample, ...], InputSpec], CalibrationSet]


def _of_one_class(samples: tuple[Sample, ...], input_spec: InputSpec) -> CalibrationSet:
    chosen = tuple(sample for sample in samples if sample.label == "ok")
    return CalibrationSet(chosen, load_pictures(chosen, input_spec))


def _changed(change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Spoil:
    def spoil(samples: tuple[Sample, ...], input_spec: InputSpec) -> CalibrationSet:
        return CalibrationSet(samples, change(load_pictures(samples, input_spec)))

    return spoil


def _nearest_resize(samples: tuple[Sample, ...], input_spec: InputSpec) -> CalibrationSet:
    size = input_spec.width, input_spec.height
    small = [
        cv2.resize(read_picture(sample.path), size, interpolation=cv2.INTER_NEAREST)[:, :, ::-1]
        for sample in samples
    ]
    return CalibrationSet(samples, np.stack(small).astype(np.uint8))


def _of_the_test_set(samples: tuple[Sample, ...], input_spec: InputSpec) -> CalibrationSet:
    moved = tuple(dataclasses.replace(sample, set_name="test") for sample in samples)
    return CalibrationSet(moved, load_pictures(moved, input_spec))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_of_one_class, "no picture shows the class rust"),
        (_of_the_test_set, "is not in the train set"),
        (_nearest_resize, "differs from the preprocessing of the box"),
        (_changed(lambda p: p[..., ::-1].copy()), "differs from the preprocessing of the box"),
        (_changed(lambda p: p.clip(60, 120)), "differs from the preprocessing of the box"),
        (
            _changed(lambda p: (p // 255).astype(np.uint8)),
            "differs from the preprocessing of the box",
        ),
        (
            _changed(lambda p: np.random.default_rng(0).integers(0, 255, p.shape, np.uint8)),
            "differs from the preprocessing of the box",
        ),
        (_changed(lambda p: p[:, ::2, ::2]), "their shape is"),
    ],
)
def test_wrong_calibration_pictures_are_refused(spoil: Spoil, words: str, data: Path) -> None:
    """Noise, one class, another resizer, swapped channels and a clipped range are refused."""
    input_spec = InputSpec(width=24, height=24)
    samples = choose_calibration(load_dataset(data).of("train"), 20)
    good = CalibrationSet(samples, load_pictures(samples, input_spec))
    check_calibration("m.keras", good, ("ok", "rust"), input_spec)
    with pytest.raises(RefusedError, match="nothing was written") as refused:
        check_calibration("m.keras", spoil(samples, input_spec), ("ok", "rust"), input_spec)
    assert words in str(refused.value)


def test_the_check_reads_the_pictures_itself(data: Path) -> None:
    """The check compares with the files, not with the caller's pictures."""
    input_spec = InputSpec(width=24, height=24)
    first, second = load_dataset(data).of("train")[:2]
    pictures = np.stack([preprocess(read_picture(s.path), input_spec) for s in (second, first)])
    with pytest.raises(RefusedError, match="differs from the preprocessing of the box"):
        check_calibration("m", CalibrationSet((first, second), pictures), ("ok",), input_spec)


def _dark(
    _frozen: FrozenGraph, pictures: NDArray[np.uint8]
) -> tuple[FrozenGraph, NDArray[np.uint8]]:
    return _frozen, np.full_like(pictures[:20], 90)


def _noise(
    _frozen: FrozenGraph, pictures: NDArray[np.uint8]
) -> tuple[FrozenGraph, NDArray[np.uint8]]:
    noise = np.random.default_rng(0).integers(88, 92, (20, *pictures.shape[1:]), np.uint8)
    return _frozen, noise


def _other_order(
    frozen: FrozenGraph, pictures: NDArray[np.uint8]
) -> tuple[FrozenGraph, NDArray[np.uint8]]:
    assert frozen.head is not None
    head = DenseHead(frozen.head.weights[:, ::-1], frozen.head.bias[::-1])
    return dataclasses.replace(frozen, head=head), pictures


@pytest.mark.train
@pytest.mark.parametrize("bad", [_dark, _noise, _other_order])
def test_bad_conversions_are_refused_and_an_older_file_stays(
    bad: Callable[..., Any],
    trained: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A conversion with other verdicts writes no file, and the older file stays."""

    def spoiled(
        scheme: str, frozen: FrozenGraph, pictures: NDArray[np.uint8], name: str
    ) -> BuiltModel:
        frozen, pictures = bad(frozen, pictures)
        return build_model(scheme, frozen, pictures, name)

    monkeypatch.setattr(selection_module, "build_model", spoiled)
    monkeypatch.setattr(selection_module, "refit_head", lambda built_model, *_: built_model)
    output = tmp_path / "line3.tflite"
    output.write_bytes(b"the good one of yesterday")
    request = ConversionRequest(
        trained, data, output, scheme="int8-float-head", older_runtime=False
    )
    with pytest.raises(RefusedError, match="refused, nothing was written"):
        convert(request)
    assert output.read_bytes() == b"the good one of yesterday"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.train
def test_a_calibration_through_another_resizer_stops_the_conversion(
    trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every conversion runs the calibration check before any work."""

    def with_nearest_resize(
        samples: tuple[Sample, ...], input_spec: InputSpec
    ) -> NDArray[np.uint8]:
        return _nearest_resize(samples, input_spec).pictures

    monkeypatch.setattr(conversion_module, "load_pictures", with_nearest_resize)
    with pytest.raises(RefusedError, match="differs from the preprocessing of the box"):
        convert(ConversionRequest(trained, data, tmp_path / "m.tflite", older_runtime=False))
    assert not list(tmp_path.iterdir())

"""The gate lets no loss through: its rules, and bad conversions on purpose."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from converter import convert as conversion_module
from converter.compare import Comparison, compare
from converter.convert import Request, convert
from converter.cut import Head, cut
from converter.gate import Limits, objections, pass_gate
from converter.quantise import Quantised, quantise
from converter.source import Source
from edge.errors import RefusedError
from edge.inspection.decision import Thresholds

GOOD = Comparison(1000, (), 3, 0.95, 0.949, 0.02)
Bad = Callable[[Source, NDArray[np.uint8]], Quantised]


def test_a_good_conversion_passes() -> None:
    """Figures within the limits raise nothing."""
    pass_gate("model.keras", GOOD, (), 0.001, Limits())


@given(flips=st.integers(0, 1000), limit=st.floats(0, 1))
def test_flips_are_counted_against_the_limit(flips: int, limit: float) -> None:
    """Refused exactly when the share of flips is above the limit."""
    compared = dataclasses.replace(GOOD, flips=tuple(map(str, range(flips))))
    refused = bool(objections(compared, (), None, Limits(max_flips=limit)))
    assert refused == (flips / 1000 > limit)


@pytest.mark.parametrize(
    ("changed", "golden", "runtimes", "words"),
    [
        ({"flips": ("a",) * 11}, (), None, "11 of 1000 test verdicts (1.1%) flip"),
        ({"auroc_int8": 0.9}, (), None, "AUROC falls from 0.9500 to 0.9000"),
        ({"auroc_int8": float("nan")}, (), None, "AUROC falls"),
        ({"auroc_float": 0.2, "auroc_int8": 0.2}, (), None, "worse than chance"),
        ({}, ("golden/01-ok.png",), None, "golden pictures flip"),
        ({}, (), 0.005, "the two runtimes differ by 0.0050"),
        ({}, (), float("nan"), "the two runtimes differ"),
    ],
)
def test_every_loss_is_named_with_its_numbers(
    changed: dict[str, Any], golden: tuple[str, ...], runtimes: float | None, words: str
) -> None:
    """Each kind of loss alone is enough, and the sentence carries its figures."""
    compared = dataclasses.replace(GOOD, **changed)
    with pytest.raises(RefusedError, match="nothing was written") as refused:
        pass_gate("model.keras", compared, golden, runtimes, Limits())
    assert words in str(refused.value)
    assert refused.value.exit_code == 1


def test_moves_through_review_are_no_flips() -> None:
    """Only pass against fail counts as a flip; into and out of review is counted beside it."""
    before = np.array([0.1, 0.1, 0.9, 0.5, 0.9])
    after = np.array([0.9, 0.5, 0.5, 0.1, 0.9])
    found = compare(
        list("abcde"),
        before,
        after,
        np.array([False, False, True, False, True]),
        Thresholds(reject_at=0.8, review_from=0.3),
    )
    assert found.flips == ("a",)
    assert found.review_moves == 3
    assert found.largest_change == pytest.approx(0.8)
    assert found.flip_share == pytest.approx(0.2)


def _calibrated_on_one_colour(source: Source, pictures: NDArray[np.uint8]) -> Quantised:
    return quantise(source, np.full_like(pictures[:20], 90))


def _calibrated_on_noise(source: Source, pictures: NDArray[np.uint8]) -> Quantised:
    noise = np.random.default_rng(0).integers(88, 92, (20, *pictures.shape[1:]), np.uint8)
    return quantise(source, noise)


def _swapped_channels(source: Source, pictures: NDArray[np.uint8]) -> Quantised:
    keras = __import__("keras")
    twin = keras.models.clone_model(source.model)
    weights = source.model.get_weights()
    twin.set_weights([weights[0][:, :, ::-1], *weights[1:]])
    return quantise(dataclasses.replace(source, cut=cut(twin, "twin")), pictures)


def _labels_in_another_order(source: Source, pictures: NDArray[np.uint8]) -> Quantised:
    assert source.cut.head is not None
    head = Head(source.cut.head.weights[:, ::-1], source.cut.head.bias[::-1])
    return quantise(
        dataclasses.replace(source, cut=dataclasses.replace(source.cut, head=head)), pictures
    )


@pytest.mark.train
@pytest.mark.parametrize(
    "bad",
    [
        _calibrated_on_one_colour,
        _calibrated_on_noise,
        _swapped_channels,
        _labels_in_another_order,
    ],
)
def test_bad_conversions_are_refused_and_an_older_file_stays(
    bad: Bad, trained: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that judges differently writes nothing and spoils nothing."""
    monkeypatch.setattr(conversion_module, "quantise", bad)
    output = tmp_path / "line3.tflite"
    output.write_bytes(b"the good one of yesterday")
    with pytest.raises(RefusedError, match="refused, nothing was written"):
        convert(Request(trained, data, output))
    assert output.read_bytes() == b"the good one of yesterday"
    assert list(tmp_path.iterdir()) == [output]

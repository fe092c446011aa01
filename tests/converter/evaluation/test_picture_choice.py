"""The choice of calibration and golden pictures: pure functions, always the same result."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.evaluation.golden_images import (
    MAX_BYTES,
    THRESHOLD_MARGIN,
    choose_golden,
    golden_files,
)
from converter.quantization.calibration import choose_calibration, representative_batches
from edge.core.errors import DatasetError
from edge.core.image import decode_picture
from edge.inspection.decision import Thresholds
from edge.inspection.preprocessing import InputSpec, preprocess
from trainer.data.dataset import Sample

THRESHOLDS = Thresholds(reject_at=0.6, review_from=0.4)


def _samples(**counts: int) -> list[Sample]:
    return [
        Sample(Path(f"{label}/{at}.png"), f"{label}/{at}.png", label, f"{label}{at}", "train")
        for label, n in counts.items()
        for at in range(n)
    ]


@given(
    ok=st.integers(1, 60), dent=st.integers(0, 60), rust=st.integers(0, 60), n=st.integers(1, 90)
)
def test_calibration_takes_each_class_as_often(ok: int, dent: int, rust: int, n: int) -> None:
    """Classes differ by at most one picture while the smaller class has pictures."""
    samples = _samples(ok=ok, dent=dent, rust=rust)
    chosen = choose_calibration(samples, n)
    assert len(set(chosen)) == len(chosen) == min(n, len(samples))
    found = Counter(sample.label for sample in chosen)
    largest = max(found.values())
    for label, available in (("ok", ok), ("dent", dent), ("rust", rust)):
        assert found[label] >= min(available, largest - 1)


def test_calibration_does_not_take_the_first_files() -> None:
    """The choice is random, seeded, and independent of the order of the files."""
    samples = _samples(ok=100, dent=100)
    chosen = choose_calibration(samples, 20)
    assert chosen == choose_calibration(samples[::-1], 20)
    assert chosen != choose_calibration(samples, 20, seed=1)
    assert max(int(sample.path.stem) for sample in chosen) > 50


def test_the_representative_set_spans_all_pixel_values() -> None:
    """The quantiser sees 0 and 255 even if no picture has them; other pixels stay."""
    pictures = np.full((3, 8, 8, 3), 100, np.uint8)
    batches = list(representative_batches(pictures))
    assert [batch.shape for batch in batches] == [(1, 8, 8, 3)] * 3
    assert (batches[0].min(), batches[0].max()) == (0, 255)
    assert (batches[0] == 100).sum() == 8 * 8 * 3 - 6
    assert (batches[1] == 100).all()


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=60),
    seed=st.integers(0, 9),
    count=st.integers(1, 12),
)
def test_golden_pictures_keep_away_from_thresholds(
    scores: list[float], seed: int, count: int
) -> None:
    """`count` pictures; one near a threshold only after all others."""
    values = np.array(scores)
    labels = np.random.default_rng(seed).choice(["ok", "dent", "rust"], len(values)).tolist()
    chosen = choose_golden(values, labels, THRESHOLDS, count)
    assert len(set(chosen)) == len(chosen) == min(count, len(values))
    distance = np.minimum(np.abs(values - 0.6), np.abs(values - 0.4))
    clear = set(np.flatnonzero(distance > THRESHOLD_MARGIN).tolist())
    near = set(chosen) - clear
    assert not near or clear <= set(chosen)


def test_golden_pictures_are_spread() -> None:
    """Every class is there, with its lowest and highest scores."""
    scores = np.linspace(0, 1, 101)
    labels = ["rust" if at % 5 == 0 else "ok" for at in range(101)]
    chosen = choose_golden(scores, labels, THRESHOLDS)
    assert Counter(labels[at] for at in chosen) == {"ok": 4, "rust": 4}
    assert {0, 1, 99, 100} <= set(chosen)


def test_golden_pictures_travel_as_they_are(tmp_path: Path) -> None:
    """A small file stays byte for byte. A large one becomes a PNG with the same model input."""
    rng = np.random.default_rng(0)
    small, large = tmp_path / "small.jpg", tmp_path / "large.bmp"
    cv2.imwrite(str(small), rng.integers(0, 256, (60, 80, 3), np.uint8))
    pixels = rng.integers(0, 256, (400, 600, 3), np.uint8)
    cv2.imwrite(str(large), pixels)
    spec = InputSpec(width=32, height=32)
    samples = [
        Sample(path, path.name, label, label, "test")
        for path, label in ((small, "ok"), (large, "a dent/ding"))
    ]
    first, second = golden_files(samples, spec)
    assert (first.name, first.content) == ("golden/01-ok.jpg", small.read_bytes())
    assert second.name == "golden/02-a_dent_ding.png"
    assert len(second.content) < MAX_BYTES
    again = preprocess(decode_picture(second.content, second.name), spec)
    assert (again == preprocess(pixels, spec)).all()


def test_a_missing_golden_picture_is_named(tmp_path: Path) -> None:
    """The error names a picture that no longer exists."""
    gone = Sample(tmp_path / "gone.png", "gone.png", "ok", "g", "test")
    with pytest.raises(DatasetError, match=r"gone\.png: cannot be read"):
        golden_files([gone], InputSpec(width=32, height=32))

"""Which decoding rule a network gets."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.inspection import InputSpec
from trainer.data import LabelledArrays, Sample
from trainer.training.decoding_choice import MIN_REDUCED, choose_rule, rule_to_try

SPEC = InputSpec(width=32, height=32, channels=1, colour="grey")


def validation_set(folder: Path, count: int, side: int) -> list[Sample]:
    """Pictures of noise; every second one is bright, which is a defect."""
    rng, samples = np.random.default_rng(0), []
    for number in range(count):
        noise = rng.integers(0, 120, (side, side)) + 130 * (number % 2)
        path = folder / f"{number}.jpg"
        cv2.imwrite(str(path), noise.astype(np.uint8))
        samples.append(Sample(path, path.name, "ok", path.name, "validation"))
    return samples


def labelled(count: int) -> LabelledArrays:
    """The classes of the set."""
    return LabelledArrays(np.zeros((count, 32, 32, 1), np.uint8), np.arange(count) % 2)


def by_brightness(pictures: NDArray[np.float32], *, training: bool) -> Any:
    """A model that finds bright pictures, at any scale."""
    assert not training
    bad = pictures.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bad, bad], axis=1)


def test_enough_large_pictures_are_tried(tmp_path: Path) -> None:
    """At least 20, and grey networks read luma alone in any case."""
    large = validation_set(tmp_path, MIN_REDUCED, 128)
    assert rule_to_try(SPEC, large, "auto").input.reduces
    few = rule_to_try(SPEC, large[:-1], "auto")
    assert not few.input.reduces
    assert few.input.decoding is not None
    assert few.input.decoding.luma
    assert "19 of 19 validation pictures" in few.reason
    assert not rule_to_try(SPEC, large, "whole").input.reduces


def test_small_pictures_are_decoded_whole(tmp_path: Path) -> None:
    """Nothing would be reduced."""
    small = validation_set(tmp_path, MIN_REDUCED, 64)
    found = rule_to_try(SPEC.replace(colour="rgb", channels=3), small, "auto")
    assert found.input.decoding is None
    assert "0 of 20" in found.reason


def test_the_rule_stays_when_it_costs_no_accuracy(tmp_path: Path) -> None:
    """The sentence has both figures; no file stays."""
    samples = validation_set(tmp_path, MIN_REDUCED, 128)
    tried = rule_to_try(SPEC, samples, "auto")
    (folder := tmp_path / "files").mkdir()
    found = choose_rule(tried, by_brightness, samples, labelled(len(samples)), folder=folder)
    assert found.input == tried.input
    assert "AUROC 1.0000, whole 1.0000" in found.reason
    assert list(folder.iterdir()) == []


def test_a_rule_that_costs_accuracy_is_dropped(tmp_path: Path) -> None:
    """JPEGs are decoded whole, and the sentence says what that costs."""
    samples = validation_set(tmp_path, MIN_REDUCED, 128)
    tried = rule_to_try(SPEC, samples, "auto")
    calls: list[int] = []

    def only_whole(pictures: NDArray[np.float32], *, training: bool) -> Any:
        calls.append(len(pictures))
        found = by_brightness(pictures, training=training)
        reduced_comes_first = sum(calls) <= len(samples)
        return found[:, ::-1] if reduced_comes_first else found

    found = choose_rule(tried, only_whole, samples, labelled(len(samples)), folder=tmp_path)
    assert not found.input.reduces
    assert "AUROC 0.0000, whole 1.0000" in found.reason
    assert "ms for a JPEG of 128×128" in found.reason

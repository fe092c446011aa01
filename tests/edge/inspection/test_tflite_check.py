"""A damaged model gives an error, not a segmentation fault."""

import random
from pathlib import Path

import pytest

from edge.core.errors import ModelError
from edge.core.terms import Runtime
from edge.inspection.inspector import load_inspector
from edge.inspection.tflite_check import is_intact


def test_whole_models_hold_together(tflite: bytes) -> None:
    """A good model is intact, with or without appended bytes."""
    assert is_intact(tflite)
    assert is_intact(tflite + b"PK and so on")


def test_no_truncated_model_holds_together(tflite: bytes) -> None:
    """A model cut at any byte is not: its operators' names are at its end."""
    for cut in range(len(tflite) - 4):
        assert not is_intact(tflite[:cut])


def test_no_bytes_give_an_error(tflite: bytes) -> None:
    """Any bytes at all give yes or no: 2,000 models with five bytes written over."""
    dice = random.Random(4)
    for _ in range(2000):
        damaged = bytearray(tflite)
        for _ in range(5):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        assert is_intact(bytes(damaged)) in (True, False)


@pytest.mark.inference
def test_every_runtime_refuses_a_cut_model(tflite: bytes, runtime: Runtime, tmp_path: Path) -> None:
    """A truncated model crashes neither runtime."""
    path = tmp_path / "a.tflite"
    for cut in (9, 100, len(tflite) // 2, len(tflite) - 100):
        path.write_bytes(tflite[:cut])
        with pytest.raises(ModelError, match=r"a\.tflite: the model is damaged or truncated"):
            load_inspector(path, runtime=runtime)

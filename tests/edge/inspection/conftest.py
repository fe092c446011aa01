"""Model files that are almost right."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.inspection.model_file import ModelFile, load_model_file, pack_model_file

SHAPE = (1, 16, 16, 3)
Repack = Callable[..., Path]


def reshaped(tflite: bytes, *shape: int) -> bytes:
    """The classifier with another shape written over that of its input."""
    before = struct.pack("<4i", *SHAPE)
    assert before in tflite
    return tflite.replace(before, struct.pack("<4i", *shape))


def with_members(tflite: bytes, members: dict[str, bytes]) -> bytes:
    """A model with any files appended, right or wrong."""
    buffer = io.BytesIO(tflite)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def redness(redness_model: Path) -> ModelFile:
    """The packed model, loaded."""
    return load_model_file(redness_model)


@pytest.fixture
def tflite(redness: ModelFile) -> bytes:
    """The bytes of the packed model without its appendix; they give logits."""
    return redness.content[: redness.content.index(b"PK\x03\x04")]


@pytest.fixture
def repack(redness: ModelFile, tflite: bytes, tmp_path: Path) -> Repack:
    """`repack(labels=…, spec={…}, golden={…})`: the model with some of its files replaced."""

    def make(
        labels: tuple[str, ...] = ("ok", "red"),
        spec: dict[str, Any] | None = None,
        golden: dict[str, bytes] | None = None,
        model: bytes = tflite,
    ) -> Path:
        assert redness.spec is not None
        changed = redness.spec.replace(**(spec or {}))
        path = tmp_path / "repacked.tflite"
        files = redness.golden if golden is None else golden
        path.write_bytes(pack_model_file(model, labels, changed, files))
        return path

    return make

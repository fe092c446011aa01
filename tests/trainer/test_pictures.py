"""Pictures in a file mapped into memory are the same as those in memory."""

from pathlib import Path

import numpy as np
import pytest

from edge.errors import DatasetError, EdgeInspectError
from edge.inspection.preprocess import InputSpec
from tests.trainer.conftest import Draw
from trainer.dataset import PARTS, load_dataset
from trainer.parts import load_parts
from trainer.pictures import load_pictures, map_pictures

GREY = InputSpec(width=16, height=16, channels=1, colour="grey", standardisation="per_picture")


def test_mapped_pictures_are_the_same(tmp_path: Path, draw_dataset: Draw) -> None:
    """The file holds what preprocessing gives, is mapped read-only, and is made only once."""
    samples = load_dataset(draw_dataset(6)).of("train")
    file = tmp_path / "train.npy"
    mapped = map_pictures(samples, GREY, file)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    assert (mapped == load_pictures(samples, GREY)).all()
    assert file.stat().st_size < mapped.nbytes + 200
    seen: list[int] = []
    again = map_pictures(samples, GREY, file, lambda done, _: seen.append(done))
    assert (again == mapped).all()
    assert seen == []


def test_unreadable_pictures_leave_no_file(tmp_path: Path, draw_dataset: Draw) -> None:
    """Broken pictures are named, all of them, and no half file is taken for a whole one later."""
    root = draw_dataset(6)
    samples = load_dataset(root).of("train")
    for sample in samples[:2]:
        sample.path.write_bytes(b"x")
    with pytest.raises(DatasetError, match="2 of"):
        map_pictures(samples, GREY, tmp_path / "train.npy")
    with pytest.raises(EdgeInspectError, match="cannot be written"):
        map_pictures(samples, GREY, tmp_path / "none/train.npy")
    assert [path.name for path in tmp_path.glob("*.npy")] == []


def test_parts_never_take_the_pictures_of_other_inputs(tmp_path: Path, draw_dataset: Draw) -> None:
    """Each input and each state of the data set has files of its own; groups are numbered."""
    data = load_dataset(draw_dataset(6))
    small = load_parts(data, "f", GREY, tmp_path)
    large = load_parts(data, "f", GREY.model_copy(update={"width": 32, "height": 32}), tmp_path)
    load_parts(data, "another", GREY, tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 9
    for part in PARTS:
        assert small[part].pictures.shape[1:] == (16, 16, 1)
        assert large[part].pictures.shape[1:] == (32, 32, 1)
        groups = small[part].groups
        assert groups is not None
        assert len(groups) == len(data.of(part))

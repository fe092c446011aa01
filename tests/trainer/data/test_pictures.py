"""Memory-mapped pictures equal those in memory."""

from pathlib import Path

import numpy as np
import pytest

from edge.core.errors import DatasetError, EdgeInspectError
from edge.inspection.preprocessing import InputSpec
from tests.trainer.conftest import Draw
from trainer.data.arrays import load_sets
from trainer.data.dataset import SET_NAMES, Sample, load_dataset
from trainer.data.pictures import BATCH, batches_of, load_pictures, map_pictures

ANY = Sample(Path("x"), "x", "ok", "x", "train")
GREY = InputSpec(width=16, height=16, channels=1, colour="grey", standardisation="per_picture")


def test_mapped_pictures_are_the_same(tmp_path: Path, draw_dataset: Draw) -> None:
    """The file holds the preprocessed pictures, is read-only, and is written once."""
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
    """All broken pictures are named, and no incomplete file stays."""
    root = draw_dataset(6)
    samples = load_dataset(root).of("train")
    for sample in samples[:2]:
        sample.path.write_bytes(b"x")
    with pytest.raises(DatasetError, match="2 of"):
        map_pictures(samples, GREY, tmp_path / "train.npy")
    with pytest.raises(EdgeInspectError, match="cannot be written"):
        map_pictures(samples, GREY, tmp_path / "none/train.npy")
    assert [path.name for path in tmp_path.glob("*.npy")] == []


def test_each_input_has_separate_files(tmp_path: Path, draw_dataset: Draw) -> None:
    """Each input and each fingerprint has separate files; groups are numbered."""
    data = load_dataset(draw_dataset(6))
    small = load_sets(data, "f", GREY, tmp_path)
    large = load_sets(data, "f", GREY.replace(width=32, height=32), tmp_path)
    load_sets(data, "another", GREY, tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 9
    for name in SET_NAMES:
        assert small[name].pictures.shape[1:] == (16, 16, 1)
        assert large[name].pictures.shape[1:] == (32, 32, 1)
        groups = small[name].groups
        assert groups is not None
        assert len(groups) == len(data.of(name))


def test_indexing_gives_copies(tmp_path: Path, draw_dataset: Draw) -> None:
    """A row, a slice and an index array give copies: changing them does not change the file."""
    samples = load_dataset(draw_dataset(6)).of("train")
    whole = load_pictures(samples, GREY)
    mapped = map_pictures(samples, GREY, tmp_path / "train.npy")
    for index in (2, slice(1, 4), np.array([3, 0, 3]), slice(None)):
        rows = mapped[index]
        assert not isinstance(rows, np.memmap)
        assert (rows == whole[index]).all()
        rows[...] = 0
        assert (mapped[index] == whole[index]).all()


def test_read_pages_do_not_stay_in_memory(tmp_path: Path) -> None:
    """After reading all rows of a large file, few of its pages stay in the process."""
    file = tmp_path / "large.npy"
    np.save(file, np.ones((4000, 64, 64, 1), np.uint8))
    spec = GREY.replace(width=64, height=64)
    mapped = map_pictures([ANY] * 4000, spec, file)
    assert all(mapped[at : at + 50].all() for at in range(0, 4000, 50))
    held = Path("/proc/self/smaps").read_text().partition(str(file))[2]
    resident = next(line for line in held.splitlines() if line.startswith("Rss:"))
    assert int(resident.split()[1]) < 1024


@pytest.mark.parametrize("count", [0, 3, BATCH // 2 + 1])
def test_batches_are_the_pictures_in_order(draw_dataset: Draw, count: int) -> None:
    """All batches together equal `load_pictures`; the next batch does not change the last one."""
    samples = (load_dataset(draw_dataset(6)).of("train") * BATCH)[: 3 * count]
    batches = list(batches_of(samples, GREY))
    assert sum(map(len, batches)) == 3 * count
    assert all(len(batch) <= BATCH for batch in batches)
    if count:
        assert (np.concatenate(batches) == load_pictures(samples, GREY)).all()

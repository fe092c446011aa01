"""The solar cells: their modules, as far as certain, and the atomic data set."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import DatasetError, MissingPartError
from tests.trainer.conftest import draw_picture
from trainer.data import elpv
from trainer.data.dataset import load_dataset

LABELS = ("ok", "defect")
RUNS = [
    ("mono", 60),
    ("poly", 300),
    ("mono", 180),
    ("poly", 360),
    ("mono", 714),
    ("poly", 530),
    ("mono", 72),
    ("poly", 180),
    ("mono", 48),
    ("poly", 180),
]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package folder with four runs of cells; every third cell is uncertain."""
    data = tmp_path / "package"
    lines = []
    kinds = ["mono"] * 60 + ["poly"] * 120 + ["mono"] * 30 + ["poly"] * 40
    for at, kind in enumerate(kinds, 1):
        draw_picture(data / f"images/cell{at:04}.png", at, defective=at % 3 == 1)
        probability = ("0.0", "1.0", "0.6666666666666666")[at % 3]
        lines.append(f"images/cell{at:04}.png  {probability}   {kind}")
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    return data


def test_groups_are_blocks_of_60_or_whole_runs() -> None:
    """A run of a multiple of 60 cells gives groups of 60; any other run is one group."""
    groups = elpv.module_groups([kind for kind, length in RUNS for _ in range(length)])
    sizes = Counter(groups)
    assert len(groups) == 2624
    assert len(set(groups[:900])) == 15
    assert {sizes[name] for name in groups[:900]} == {60}
    assert [name for name in sizes if sizes[name] != 60] == [
        "mono-0901-1614",
        "poly-1615-2144",
        "mono-2145-2216",
        "mono-2397-2444",
    ]


@given(st.lists(st.tuples(st.sampled_from(["mono", "poly"]), st.integers(1, 200)), max_size=8))
def test_a_group_is_one_stretch_of_one_type(runs: list[tuple[str, int]]) -> None:
    """A change of type ends a group; the cells of a group are consecutive."""
    kinds = [kind for kind, length in runs for _ in range(length)]
    groups = elpv.module_groups(kinds)
    assert len(groups) == len(kinds)
    stretches = [name for name, _cells in itertools.groupby(groups)]
    assert len(stretches) == len(set(stretches))
    assert all(name.startswith(kind) for name, kind in zip(groups, kinds))


def test_makes_a_data_set_once(package: Path, tmp_path: Path) -> None:
    """Certain cells become a data set that loads; a second run reuses it."""
    target = tmp_path / "cells"
    assert elpv.make_elpv(target, package)
    data = load_dataset(target)
    assert len(data.samples) == 167  # 250 cells, less the 83 that are not certain
    assert set(data.labels) == {"ok", "defect"}
    modified = (target / "manifest.csv").stat().st_mtime_ns
    assert not elpv.make_elpv(target, package)
    assert (target / "manifest.csv").stat().st_mtime_ns == modified
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@given(st.integers(1, 3000))
def test_between_two_pieces_of_a_run_a_whole_module_is_left_out(length: int) -> None:
    """Pieces have 120 cells or more, and no module of 72 cells reaches from one to the next."""
    bounds = elpv.piece_bounds(length)
    assert bounds[0][0] == 0
    assert bounds[-1][1] <= length
    assert all(end > start for start, end in bounds)
    if len(bounds) > 1:
        assert min(end - start for start, end in bounds) >= elpv.PIECE_CELLS
    for (_start, end), (after, _end) in itertools.pairwise(bounds):
        assert after - end >= elpv.LARGEST_MODULE


def test_cells_of_one_type_have_a_validation_folder(package: Path, tmp_path: Path) -> None:
    """One type gives train/, valid/ and test/, without a cell of the other type."""
    target = tmp_path / "cells"
    assert elpv.make_elpv(target, package, "poly")
    groups = {sample.group for sample in load_dataset(target).samples}
    assert all(group.startswith("poly") for group in groups)
    assert sorted(path.name for path in target.iterdir() if path.is_dir()) == [
        "test",
        "train",
        "valid",
    ]
    assert not elpv.make_elpv(target, package, "poly")


def test_a_folder_with_cells_of_another_type_is_refused(package: Path, tmp_path: Path) -> None:
    """A complete set of both types does not pass for one of one type."""
    elpv.make_elpv(tmp_path / "cells", package)
    with pytest.raises(DatasetError, match="holds other cells"):
        elpv.make_elpv(tmp_path / "cells", package, "mono")


@pytest.mark.usefixtures("require_elpv")
def test_the_monocrystalline_cells_leave_room_for_each_set() -> None:
    """Each set of the demo has two groups or more, and both labels; no group is in two sets."""
    cells = elpv.cells_of(elpv.read_cells(elpv.package_data()), "mono")
    set_of = elpv.split(cells, one_type=True)
    counted = Counter((set_of[cell.group], elpv.LABEL_OF.get(cell.probability)) for cell in cells)
    assert Counter(set_of.values()) == {"train": 3, "valid": 2, "test": 5}
    assert (
        min(counted[name, label] for name in ("train", "valid") for label in ("ok", "defect")) > 50
    )
    assert (counted["test", "ok"], counted["test", "defect"]) == (213, 120)


def test_a_failed_run_leaves_no_folder(package: Path, tmp_path: Path) -> None:
    """The error names a missing picture, and the target does not exist."""
    (package / "images/cell0250.png").unlink()
    with pytest.raises(DatasetError, match=r"cell0250\.png: No such file"):
        elpv.make_elpv(tmp_path / "cells", package)
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_a_foreign_folder_is_refused(package: Path, tmp_path: Path) -> None:
    """A folder with other files is refused and does not change."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(DatasetError, match="was not made by"):
        elpv.make_elpv(tmp_path / "mine", package)
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"


@pytest.mark.parametrize("line", ["images/a.png 1.0", "images/a.png high mono", "a.png 1.0 thin"])
def test_labels_in_another_format_are_refused(package: Path, tmp_path: Path, line: str) -> None:
    """An invalid labels file is refused with its line."""
    (package / "labels.csv").write_text(f"images/cell0001.png 0.0 mono\n{line}\n")
    with pytest.raises(DatasetError, match=r"labels\.csv:2: "):
        elpv.make_elpv(tmp_path / "cells", package)


def test_without_the_package_the_command_to_install_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error for a missing package names the command that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match="pip install"):
        elpv.package_data()


@pytest.mark.usefixtures("require_elpv")
def test_the_real_package_is_split_by_type(tmp_path: Path) -> None:
    """All 2,223 certain cells are used; a quarter of them, of both types, is in test."""
    cells = elpv.read_cells(elpv.package_data())
    labels = Counter(elpv.LABEL_OF.get(cell.probability) for cell in cells)
    assert (labels["ok"], labels["defect"], labels[None]) == (1508, 715, 401)
    test = elpv.choose_test(cells)
    taken = [cell for cell in cells if cell.group in test and cell.probability in elpv.LABEL_OF]
    share = Counter(elpv.LABEL_OF[cell.probability] for cell in taken)
    assert 0.2 < share["ok"] / 1508 < 0.3
    assert 0.2 < share["defect"] / 715 < 0.3
    assert {cell.kind for cell in taken} == {"mono", "poly"}

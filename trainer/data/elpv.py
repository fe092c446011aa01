"""Writes the solar cells of the package elpv-dataset as a data set, split by module.

The package lists 2,624 cells of 44 modules (Deitsch et al. 2019; pictures CC BY-NC-SA 4.0), module
by module, without the boundaries between modules. Two boundaries are certain:

- a change of type (mono, poly);
- every 60 cells, where a run of one type is a whole multiple of 60.

In other runs the authors left cells out, so a boundary would be a guess: the whole run is one
group. (Rounding such runs gives the paper's 44 modules, 18 mono and 26 poly.)

Cells of one type alone are the product of one plant. They have few groups, and one run holds most
of the good cells. So such a run is cut: between two pieces the cells of one module are left out,
and no module stands in both, wherever its boundaries are.
"""

import csv
import importlib.util
import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.core.errors import DatasetError, MissingPartError
from trainer.core import check_free, write_folder
from trainer.data.split import choose_groups

MODULE_CELLS = 60
LARGEST_MODULE = 72  # cells; no module of the package has more
PIECE_CELLS = 120  # the fewest cells in a piece of a run that is cut
TEST_FRACTION = 0.25
# Of one type: few groups make intervals wide, and a pretrained network learns from few pictures.
TEST_FRACTION_OF_ONE_TYPE, VALIDATION_FRACTION_OF_ONE_TYPE = 0.45, 0.45
LABEL_OF = {0.0: "ok", 1.0: "defect"}  # 1/3 and 2/3 mean that the expert was not sure
KINDS = ("mono", "poly")
COMPLETE_MARK = ".elpv-complete"
MARK_TEXT = "made by `edge-train elpv` from the package elpv-dataset"


@dataclass(frozen=True, slots=True)
class SolarCell:
    """One row of the package's labels: file, probability of a defect, type, and our group."""

    file: Path
    probability: float
    kind: str
    group: str


def make_elpv(target: Path, data: Path | None = None, kind: str | None = None) -> bool:
    """Writes `target`/{train,test}/{ok,defect}/cellNNNN.png and manifest.csv, atomically.

    `data` is the folder with labels.csv, by default the installed package's. `kind` is "mono" or
    "poly" for cells of one type, with valid/ beside train/; None for both. Returns False when
    this `target` exists already, complete. Raises MissingPartError without the package,
    DatasetError when its labels are not as expected or `target` holds something else or cannot be
    written.
    """
    mark = MARK_TEXT if kind is None else f"{MARK_TEXT}, {kind} cells only"
    if (target / COMPLETE_MARK).exists():
        found = (target / COMPLETE_MARK).read_text(encoding="utf-8").strip()
        if found != mark:
            raise DatasetError(
                f"{target}: holds other cells ({found}); give another folder, or remove it"
            )
        return False
    check_free(target, " and was not made by `edge-train elpv`; give another folder, or remove it")

    def write(half: Path) -> None:
        cells = read_cells(data if data is not None else package_data())
        _write(half, cells if kind is None else cells_of(cells, kind), one_type=kind is not None)
        (half / COMPLETE_MARK).write_text(f"{mark}\n", encoding="utf-8")

    write_folder(target, write)
    return True


def package_data() -> Path:
    """The folder with labels.csv of the installed package. Raises MissingPartError."""
    found = importlib.util.find_spec("elpv_dataset")
    if found is None or found.origin is None:
        raise MissingPartError("elpv-dataset is not installed; run: pip install '.[train]'")
    return Path(found.origin).parent / "data"


def read_cells(data: Path) -> list[SolarCell]:
    """All cells of `data`/labels.csv, in file order, grouped by module where that is certain."""
    path = data / "labels.csv"
    rows: list[tuple[str, float, str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match line.split():
            case [file, probability, kind] if kind in KINDS:
                try:
                    rows.append((file, float(probability), kind))
                except ValueError:
                    raise _unexpected(path, number, line) from None
            case []:
                continue
            case _:
                raise _unexpected(path, number, line)
    groups = module_groups([kind for _file, _probability, kind in rows])
    return [SolarCell(data / f, p, kind, group) for (f, p, kind), group in zip(rows, groups)]


def module_groups(kinds: Sequence[str]) -> list[str]:
    """The group of each cell, from the types in the package's order.

    Groups are named by type and by their first and last cell, counted from 1.
    """
    groups: list[str] = []
    for kind, run in itertools.groupby(kinds):
        length = len(list(run))
        size = MODULE_CELLS if length % MODULE_CELLS == 0 else length
        for _ in range(length // size):
            first = len(groups) + 1
            groups += [f"{kind}-{first:04d}-{first + size - 1:04d}"] * size
    return groups


def cells_of(cells: Sequence[SolarCell], kind: str) -> list[SolarCell]:
    """The cells of one type, their long runs cut, without the cells between the pieces."""
    kept: list[SolarCell] = []
    chosen = [cell for cell in cells if cell.kind == kind]
    for _group, run in itertools.groupby(chosen, key=lambda cell: cell.group):
        members = list(run)
        for first, end in piece_bounds(len(members)):
            name = members[0].group
            if (first, end) != (0, len(members)):
                name = f"{name}-part-{first + 1:03d}-{end:03d}"
            kept += [replace(cell, group=name) for cell in members[first:end]]
    return kept


def piece_bounds(length: int) -> list[tuple[int, int]]:
    """Where the pieces of a run begin and end: as many of 120 cells or more as fit, equally long.

    Between two of them 72 cells or more are left out.
    """
    number = max(1, (length + LARGEST_MODULE) // (PIECE_CELLS + LARGEST_MODULE))
    size = (length - (number - 1) * LARGEST_MODULE) // number
    gap = (length - number * size) // max(1, number - 1)
    starts = [at * (size + gap) for at in range(number)]
    return [(start, length if number == 1 else start + size) for start in starts]


def choose_test(
    cells: Sequence[SolarCell], seed: int = 0, fraction: float = TEST_FRACTION
) -> set[str]:
    """The groups of the test set: `fraction` of the good and the defective cells of each type."""
    names = sorted({cell.group for cell in cells})
    strata = [*itertools.product(LABEL_OF, KINDS)]
    # The first columns count good and defective cells, the others the same by type.
    counts = np.zeros((len(names), len(LABEL_OF) + len(strata)), np.int64)
    for cell in cells:
        if cell.probability in LABEL_OF:
            row = counts[names.index(cell.group)]
            row[list(LABEL_OF).index(cell.probability)] += 1
            row[len(LABEL_OF) + strata.index((cell.probability, cell.kind))] += 1
    chosen = choose_groups(counts, fraction, seed)
    return {name for name, taken in zip(names, chosen) if taken}


def split(cells: Sequence[SolarCell], *, one_type: bool) -> dict[str, str]:
    """The set of each group: "train", "test" and, for cells of one type, "valid"."""
    in_test = choose_test(cells, fraction=TEST_FRACTION_OF_ONE_TYPE if one_type else TEST_FRACTION)
    rest = [cell for cell in cells if cell.group not in in_test]
    valid = choose_test(rest, fraction=VALIDATION_FRACTION_OF_ONE_TYPE) if one_type else set()
    sets = dict.fromkeys((cell.group for cell in cells), "train")
    return sets | dict.fromkeys(in_test, "test") | dict.fromkeys(valid, "valid")


def _write(folder: Path, cells: list[SolarCell], *, one_type: bool) -> None:
    set_of = split(cells, one_type=one_type)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "label", "group"])
        for cell in cells:
            if cell.probability not in LABEL_OF:
                continue
            label = LABEL_OF[cell.probability]
            name = f"{set_of[cell.group]}/{label}/{cell.file.name}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cell.file, folder / name)
            writer.writerow([name, label, cell.group])
        file.flush()
        os.fsync(file.fileno())


def _unexpected(path: Path, number: int, line: str) -> DatasetError:
    return DatasetError(
        f"{path}:{number}: {line!r} is not `file probability mono|poly`; install another version "
        "of elpv-dataset"
    )

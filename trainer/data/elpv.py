"""Writes the solar cells of the package elpv-dataset as a data set, split by module.

The package lists 2,624 cells of 44 modules (Deitsch et al. 2019; pictures CC BY-NC-SA 4.0), module
by module, without the boundaries between modules. Two boundaries are certain:

- a change of type (mono, poly);
- every 60 cells, where a run of one type is a whole multiple of 60.

In other runs the authors left cells out, so a boundary would be a guess: the whole run is one
group. (Rounding such runs gives the paper's 44 modules, 18 mono and 26 poly.)
"""

import csv
import importlib.util
import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.core.errors import DatasetError, MissingPartError
from trainer.core import check_free, write_folder
from trainer.data.split import choose_groups

MODULE_CELLS = 60
TEST_FRACTION = 0.25
LABEL_OF = {0.0: "ok", 1.0: "defect"}  # 1/3 and 2/3 mean that the expert was not sure
KINDS = ("mono", "poly")
COMPLETE_MARK = ".elpv-complete"


@dataclass(frozen=True, slots=True)
class SolarCell:
    """One row of the package's labels: file, probability of a defect, type, and our group."""

    file: Path
    probability: float
    kind: str
    group: str


def make_elpv(target: Path, data: Path | None = None) -> bool:
    """Writes `target`/{train,test}/{ok,defect}/cellNNNN.png and manifest.csv, atomically.

    `data` is the folder with labels.csv, by default the installed package's. Returns False when
    a complete `target` exists already. Raises MissingPartError without the package, DatasetError
    when its labels are not as expected or `target` holds something else or cannot be written.
    """
    if (target / COMPLETE_MARK).exists():
        return False
    check_free(target, " and was not made by `edge-train elpv`; give another folder, or remove it")
    write_folder(
        target, lambda half: _write(half, read_cells(data if data is not None else package_data()))
    )
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


def choose_test(cells: Sequence[SolarCell], seed: int = 0) -> set[str]:
    """The groups of the test set: a quarter of the good and of the defective cells of each type."""
    names = sorted({cell.group for cell in cells})
    strata = [*itertools.product(LABEL_OF, KINDS)]
    # The first columns count good and defective cells, the others the same by type.
    counts = np.zeros((len(names), len(LABEL_OF) + len(strata)), np.int64)
    for cell in cells:
        if cell.probability in LABEL_OF:
            row = counts[names.index(cell.group)]
            row[list(LABEL_OF).index(cell.probability)] += 1
            row[len(LABEL_OF) + strata.index((cell.probability, cell.kind))] += 1
    chosen = choose_groups(counts, TEST_FRACTION, seed)
    return {name for name, taken in zip(names, chosen) if taken}


def _write(folder: Path, cells: list[SolarCell]) -> None:
    in_test = choose_test(cells)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "label", "group"])
        for cell in cells:
            if cell.probability not in LABEL_OF:
                continue
            label = LABEL_OF[cell.probability]
            name = f"{'test' if cell.group in in_test else 'train'}/{label}/{cell.file.name}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cell.file, folder / name)
            writer.writerow([name, label, cell.group])
        file.flush()
        os.fsync(file.fileno())
    (folder / COMPLETE_MARK).write_text("made by `edge-train elpv` from the package elpv-dataset\n")


def _unexpected(path: Path, number: int, line: str) -> DatasetError:
    return DatasetError(
        f"{path}:{number}: {line!r} is not `file probability mono|poly`; install another version "
        "of elpv-dataset"
    )

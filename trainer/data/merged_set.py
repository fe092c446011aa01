"""Several data sets as one: a folder of links with train/, test/ and a manifest.csv.

`edge-train OLD NEW -o RUN` trains on RUN/data. So audit, conversion, evaluation and report work on
it as on any other data set, and the folder shows the pictures of a training.

- Files: `{train,test,valid}/CLASS/NAME-OF-THE-SET/…`, links to the pictures.
- A set with train/ and test/ keeps its split. The groups of the others are split. Where no set has
  a split, the folder has none either, and `load_dataset` splits all groups together.
- Groups of two sets are different parts under any names, except the groups of
  `edge-inspect export`: those name a part of a line, so they stay in one set.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.core.errors import DatasetError
from edge.core.terms import EXPORTED_GROUP
from trainer.core import write_folder
from trainer.data.folder_layout import (
    GOOD_NAMES,
    FoundPictures,
    SetName,
    find_pictures,
    shortened_list,
)
from trainer.data.manifest import COLUMNS, MANIFEST, read_manifest
from trainer.data.split import choose_groups

SOURCES = ".datasets.json"  # hidden, so it counts as no file of the data set
FOLDER_OF: dict[SetName, str] = {"train": "train", "test": "test", "validation": "valid"}


@dataclass(frozen=True, slots=True)
class Source:
    """One of several data sets: its name in the merged set, its folder, its pictures."""

    name: str
    root: Path
    found: FoundPictures
    groups: dict[str, str]

    def group(self, file: str) -> str:
        """The group in the merged set."""
        own = self.groups[file]
        return own if own.startswith(EXPORTED_GROUP) else f"{self.name}/{own}"


@dataclass(frozen=True, slots=True)
class MergedPicture:
    """A picture of the merged set.

    - `inner`: its posix path below the class folder of its data set.
    - `set_name`: None where no set has train/ and test/.
    """

    source: str
    path: Path
    inner: str
    label: str
    group: str
    set_name: SetName | None

    @property
    def target(self) -> str:
        """The posix path in the merged folder."""
        folder = "" if self.set_name is None else f"{FOLDER_OF[self.set_name]}/"
        return f"{folder}{self.label}/{self.source}/{self.inner}"


def read_sources(roots: Sequence[Path], ok_label: str) -> list[Source]:
    """The data sets, named by their folders. Raises DatasetError for one that is unusable."""
    sources: list[Source] = []
    for root in roots:
        if any(root.resolve() == other.root.resolve() for other in sources):
            raise DatasetError(f"{root}: is named twice; name each data set once")
        found = find_pictures(root)
        labels = set(found.labels.values())
        other_names = sorted(label for label in labels if label.lower() in GOOD_NAMES)
        if ok_label not in labels and other_names:
            raise DatasetError(
                f"{root}: calls its good parts {other_names[0]!r}, not {ok_label!r}; rename the "
                "folder: all data sets of one training need the same name"
            )
        manifest = root / MANIFEST
        groups = (
            read_manifest(manifest, found.labels)
            if manifest.exists()
            else {file: file for file in found.labels}
        )
        sources.append(Source(_free_name(root, sources), root, found, groups))
    return sources


def merge_plan(
    sources: Sequence[Source],
    *,
    test_from: Path | None = None,
    test_fraction: float = 0.25,
    seed: int = 0,
) -> list[MergedPicture]:
    """The pictures of the merged set with their sides, by target.

    With `test_from`, one of the roots, only that data set has test pictures; the others add
    training pictures, and their own test pictures stay out. Raises DatasetError when a group of
    `edge-inspect export` stands on both sides.
    """
    only = None if test_from is None else _named(sources, test_from)
    split = any(source.found.split for source in sources) or only is not None
    pictures: list[MergedPicture] = []
    free: list[int] = []  # rows of `pictures` without a side yet
    for source in sources:
        sides = source.found.folder_sets()
        may_test = only is None or source is only
        for file, label in sorted(source.found.labels.items()):
            side: SetName | None = sides[file] if source.found.split else None
            if side == "test" and not may_test:
                continue
            if not source.found.split and split:
                if may_test:
                    free.append(len(pictures))
                else:
                    side = "train"
            inner = "/".join(file.split("/")[2 if source.found.split else 1 :])
            path, group = source.found.paths[file], source.group(file)
            pictures.append(MergedPicture(source.name, path, inner, label, group, side))
    if split:
        pictures = _with_sides(pictures, free, test_fraction, seed)
        _check_sides(pictures)
    return sorted(pictures, key=lambda one: one.target)


def write_merged(
    target: Path, sources: Sequence[Source], pictures: Sequence[MergedPicture]
) -> None:
    """Writes the folder of links, atomically; an earlier one is replaced. Raises DatasetError."""
    has_groups = any((source.root / MANIFEST).exists() for source in sources)
    counts = Counter(one.source for one in pictures)
    described = [
        {"name": one.name, "path": str(one.root.resolve()), "pictures": counts[one.name]}
        for one in sources
    ]

    def fill(half: Path) -> None:
        for one in pictures:
            link = half / one.target
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(one.path.resolve())
        if has_groups:
            with (half / MANIFEST).open("w", encoding="utf-8", newline="") as stream:
                table = csv.writer(stream, lineterminator="\n")
                table.writerow(COLUMNS)
                table.writerows((one.target, one.label, one.group) for one in pictures)
        (half / SOURCES).write_text(
            json.dumps({"datasets": described}, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    if (target / SOURCES).is_file():  # of an earlier call; nothing else is removed
        shutil.rmtree(target)
    write_folder(target, fill)


def sources_of(root: Path) -> tuple[tuple[str, str, int], ...]:
    """Name, path and number of pictures of each data set that `root` was merged from."""
    try:
        found = json.loads((root / SOURCES).read_text(encoding="utf-8"))["datasets"]
        return tuple((str(one["name"]), str(one["path"]), int(one["pictures"])) for one in found)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _free_name(root: Path, sources: Iterable[Source]) -> str:
    taken = {source.name for source in sources}
    name = root.resolve().name or "dataset"
    number = 2
    found = name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def _named(sources: Sequence[Source], root: Path) -> Source:
    for source in sources:
        if source.root.resolve() == root.resolve():
            return source
    raise DatasetError(
        f"--test-from {root}: is none of the data sets (given "
        f"{', '.join(str(source.root) for source in sources)}); name one of them"
    )


def _with_sides(
    pictures: list[MergedPicture], free: Sequence[int], fraction: float, seed: int
) -> list[MergedPicture]:
    """Gives each picture in `free` a side: that of its group in another set, or by the split."""
    known: dict[str, SetName] = {
        one.group: "test" if one.set_name == "test" else "train"
        for one in pictures
        if one.set_name is not None
    }
    to_cut = [row for row in free if pictures[row].group not in known]
    if to_cut:
        groups = sorted({pictures[row].group for row in to_cut})
        labels = sorted({pictures[row].label for row in to_cut})
        counts = np.zeros((len(groups), len(labels)), np.int64)
        for row in to_cut:
            one = pictures[row]
            counts[groups.index(one.group), labels.index(one.label)] += 1
        chosen = choose_groups(counts, fraction, seed)
        known.update({group: "test" if cut else "train" for group, cut in zip(groups, chosen)})
    undecided = set(free)
    return [
        replace(one, set_name=known[one.group]) if row in undecided else one
        for row, one in enumerate(pictures)
    ]


def _check_sides(pictures: Iterable[MergedPicture]) -> None:
    sides: dict[str, dict[bool, MergedPicture]] = {}
    for one in pictures:
        sides.setdefault(one.group, {}).setdefault(one.set_name == "test", one)
    both = {group: found for group, found in sides.items() if len(found) == 2}
    if both:
        first = next(iter(both.values()))
        raise DatasetError(
            f"{len(both)} groups stand in train of one data set and in test of another "
            f"({shortened_list(sorted(both))}; {first[False].path} and {first[True].path}); move "
            "each to one side, or name with --test-from the data set whose test set counts"
        )

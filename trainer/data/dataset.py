"""A folder of labelled pictures as train, validation and test sets, split by group."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from edge.core.errors import DatasetError
from trainer.data.folder_layout import (
    GOOD_NAMES,
    SET_OF_FOLDER,
    FoundPictures,
    SetName,
    find_pictures,
    shortened_list,
    typed_name,
)
from trainer.data.manifest import MANIFEST, read_manifest
from trainer.data.merged_set import sources_of
from trainer.data.split import choose_groups

SET_NAMES: tuple[SetName, ...] = ("train", "validation", "test")
ANOMALY = "anomaly"  # the one defect class of a model that learns from good parts only


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture. `file` is its posix path relative to the data set's root."""

    path: Path
    file: str
    label: str
    group: str
    set_name: SetName


@dataclass(frozen=True, slots=True)
class Dataset:
    """The pictures of a data set, sorted by file. `labels` has `ok_label` first, then by name.

    `left_out` is a sentence about files that are no pictures for edge-inspect, else empty.
    `sources` has name, path and number of pictures of the data sets it was merged from, if any.
    """

    root: Path
    labels: tuple[str, ...]
    ok_label: str
    samples: tuple[Sample, ...]
    left_out: str = ""
    sources: tuple[tuple[str, str, int], ...] = ()

    def without(self, files: Iterable[str]) -> "Dataset":
        """A copy without the pictures named in `files`; unknown names are ignored."""
        left_out = set(files)
        kept = tuple(sample for sample in self.samples if sample.file not in left_out)
        return replace(self, samples=kept)

    def of(self, set_name: SetName) -> tuple[Sample, ...]:
        """The samples of one set, sorted by file."""
        return tuple(sample for sample in self.samples if sample.set_name == set_name)

    def counts(self) -> dict[str, dict[str, int]]:
        """The number of pictures by set, then by label."""
        found = Counter((sample.set_name, sample.label) for sample in self.samples)
        return {
            set_name: {label: found[set_name, label] for label in self.labels}
            for set_name in SET_NAMES
        }

    def fingerprint(self) -> str:
        """SHA-256 over the sorted names and contents of all pictures, 64 hexadecimal digits.

        Raises DatasetError when a picture cannot be read.
        """
        total = hashlib.sha256()
        for sample in sorted(self.samples, key=lambda sample: sample.file):
            try:
                content = hashlib.sha256(sample.path.read_bytes()).hexdigest()
            except OSError as error:
                raise DatasetError(
                    f"{sample.path}: cannot be read ({error.strerror}); check its permissions"
                ) from error
            total.update(f"{sample.file}\0{content}\n".encode())
        return total.hexdigest()


def load_dataset(
    root: Path,
    ok_label: str = "ok",
    *,
    seed: int = 0,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.25,
    one_class: bool = False,
) -> Dataset:
    """Finds, labels and splits the pictures under `root`, without decoding any.

    The layout is `{train,test}/{ok,<defect>…}/` or `{ok,<defect>…}/`, which is then split by
    group. `valid/` (or `val/`) beside train/ is the validation set; else validation is cut from
    train. Groups come from manifest.csv; without one every picture is a separate group. The same
    folder and arguments give the same split. With `one_class` all defects form one class,
    `anomaly`. Every part that shows one goes to test whole, so nothing is learned from it.
    Raises DatasetError for a folder that cannot be trained on or would give untrue figures.
    """
    found = find_pictures(root)
    ok_label = typed_name(ok_label)
    classes = _classes(root, found, ok_label)
    labels = found.labels
    if one_class:
        classes = ok_label, ANOMALY
        labels = {file: label if label == ok_label else ANOMALY for file, label in labels.items()}
    sets = found.folder_sets()
    table = _Splitter(root, classes, labels, found.paths, _groups(root, found.labels), sets)
    has_validation = "validation" in sets.values()
    if found.split:
        table.check_leaks()
    else:
        table.cut("test", test_fraction, seed)
    if one_class:
        table.move_defects_to_test()
    else:
        table.check_present(split=found.split)
    if not has_validation:
        table.cut("validation", validation_fraction, seed)
    if one_class:
        table.check_good_parts()
    else:
        table.check_validation(from_folder=has_validation)
    return Dataset(
        root, classes, ok_label, table.samples(), found.left_out_text(), sources_of(root)
    )


def load_test_set(root: Path, ok_label: str) -> Dataset:
    """Every picture of a folder without train/ and test/ as test picture, without a split.

    Defects of any class count. Raises DatasetError for a folder without good or without defective
    pictures.
    """
    found = find_pictures(root)
    ok_label = typed_name(ok_label)
    classes = _classes(root, found, ok_label)
    sets: dict[str, SetName] = dict.fromkeys(found.labels, "test")
    groups = _groups(root, found.labels)
    table = _Splitter(root, classes, found.labels, found.paths, groups, sets)
    return Dataset(root, classes, ok_label, table.samples(), found.left_out_text())


def load_recorded(root: Path, ok_label: str, recorded: Mapping[str, Any]) -> Dataset:
    """Loads a data set with the split of a training, without the test pictures it set aside.

    `recorded` is `data` in a model's spec; missing keys take the defaults of `load_dataset`.
    Raises DatasetError.
    """
    arguments = {
        argument: recorded[key]
        for argument, key in (
            ("seed", "split_seed"),
            ("validation_fraction", "validation_fraction"),
            ("test_fraction", "test_fraction"),
            ("one_class", "one_class"),
        )
        if recorded.get(key) is not None
    }
    audited = recorded.get("audit")
    set_aside = audited.get("set_aside", ()) if isinstance(audited, Mapping) else ()
    return load_dataset(root, ok_label, **arguments).without(set_aside)


def load_for_evaluation(root: Path, ok_label: str, recorded: Mapping[str, Any]) -> Dataset:
    """The data set to measure a model on: all figures come from its test set.

    A folder with train/ and test/ keeps its test set. Of a folder without them every picture is
    measured, unless the model was trained on this very folder: then only the test set of that
    training is. Raises DatasetError.
    """
    if find_pictures(root).split:
        return load_recorded(root, ok_label, recorded)
    whole = load_test_set(root, ok_label)
    if recorded.get("fingerprint") is not None:
        try:
            trained = load_recorded(root, ok_label, recorded)
        except DatasetError:  # too few pictures to split: no training was possible on them
            return whole
        if trained.fingerprint() == recorded["fingerprint"]:
            return trained
    return whole


def _groups(root: Path, labels: Mapping[str, str]) -> dict[str, str]:
    manifest = root / MANIFEST
    return read_manifest(manifest, labels) if manifest.exists() else {file: file for file in labels}


@dataclass(frozen=True, slots=True)
class _Splitter:
    """A split in progress: label, path, group and set of each file."""

    root: Path
    classes: tuple[str, ...]
    labels: dict[str, str]
    paths: dict[str, Path]
    groups: dict[str, str]
    sets: dict[str, SetName]

    def labels_in(self, set_name: SetName) -> set[str]:
        return {self.labels[file] for file, own in self.sets.items() if own == set_name}

    def check_leaks(self) -> None:
        folders: dict[str, set[str]] = {}
        for file in self.sets:
            folders.setdefault(file.split("/")[0], set()).add(self.groups[file])
        for one, other in combinations(sorted(folders, key=list(SET_OF_FOLDER).index), 2):
            both = sorted(folders[one] & folders[other])
            if both:
                raise DatasetError(
                    f"{self.root / MANIFEST}: {len(both)} groups stand in both {one}/ and "
                    f"{other}/ ({shortened_list(both)}); move each to one side: "
                    "a part that was trained on proves nothing"
                )

    def cut(self, to: SetName, fraction: float, seed: int) -> None:
        """Moves whole groups from train to the set `to`."""
        files = sorted(file for file, set_name in self.sets.items() if set_name == "train")
        names = sorted({self.groups[file] for file in files})
        row = {name: at for at, name in enumerate(names)}
        # The last column counts all defects: it balances the split where single classes are rare.
        counts = np.zeros((len(names), len(self.classes) + 1), np.int64)
        for file in files:
            column = self.classes.index(self.labels[file])
            counts[row[self.groups[file]], column] += 1
            counts[row[self.groups[file]], -1] += column > 0
        chosen = choose_groups(counts, fraction, seed)
        self.sets.update({file: to for file in files if chosen[row[self.groups[file]]]})

    def check_present(self, *, split: bool) -> None:
        sets: tuple[SetName, ...] = ("train", "test")
        for set_name in sets:
            present = self.labels_in(set_name)
            missing = ", ".join(repr(label) for label in self.classes if label not in present)
            if present == {self.classes[0]} and set_name == "train" and split:
                raise DatasetError(
                    f"{self.root / set_name}: shows good parts only, and no picture of the class "
                    f"{missing}; train with --network one-class, or move some defective parts to "
                    "train/"
                )
            if missing and split:
                raise DatasetError(
                    f"{self.root / set_name}: no picture of the class {missing}; "
                    "every class must be in train/ and in test/"
                )
            if missing:
                raise DatasetError(
                    f"{self.root}: the class {missing} has too few groups to be in both train "
                    "and test; add pictures of other parts of it, or leave the class out"
                )

    def check_validation(self, *, from_folder: bool) -> None:
        """`from_folder`: the validation set is a folder, not cut from train."""
        present = self.labels_in("validation")
        if from_folder:
            if self.classes[0] not in present or len(present) < 2:
                raise DatasetError(
                    f"{self.root}: the validation folder needs good and defective pictures "
                    f"(found {', '.join(sorted(present)) or 'none'}); add some, or remove the "
                    "folder: validation is then cut from train/"
                )
            return
        train_complete = self.labels_in("train") == set(self.classes)
        if not train_complete or self.classes[0] not in present or len(present) < 2:
            raise DatasetError(
                f"{self.root}: too few groups in train to cut off a validation set with good and "
                "defective pictures; add pictures of other parts (at least two groups a class)"
            )

    def move_defects_to_test(self) -> None:
        """Moves every group that shows a defect to test."""
        defective = {self.groups[file] for file, label in self.labels.items() if label == ANOMALY}
        self.sets.update({file: "test" for file in self.sets if self.groups[file] in defective})

    def check_good_parts(self) -> None:
        for set_name in SET_NAMES:
            if self.classes[0] not in self.labels_in(set_name):
                raise DatasetError(
                    f"{self.root}: no picture of the class {self.classes[0]!r} is left for "
                    f"{set_name}; add good parts that never showed a defect"
                )

    def samples(self) -> tuple[Sample, ...]:
        return tuple(
            Sample(self.paths[file], file, self.labels[file], self.groups[file], self.sets[file])
            for file in sorted(self.labels)
        )


def _classes(root: Path, found: FoundPictures, ok_label: str) -> tuple[str, ...]:
    labels = set(found.labels.values())
    if ok_label not in labels:
        raise DatasetError(f"{root}: {_missing_ok_label(root, found, ok_label)}")
    if len(labels) == 1:
        raise DatasetError(
            f"{root}: only one class, {ok_label!r}; add at least one folder of defective parts "
            "(with --network one-class a few pictures do: they are not learned from; without any "
            "defect, `edge-train paint` makes a set with painted ones)"
        )
    return ok_label, *sorted(labels - {ok_label})


def _missing_ok_label(root: Path, found: FoundPictures, ok_label: str) -> str:
    labels = sorted(set(found.labels.values()))
    nested = [label for label in labels if not found.split and (root / label / ok_label).is_dir()]
    if nested:
        return (
            f"the data set lies one folder below: {nested[0]}/ holds {ok_label}/; "
            f"give {root / nested[0]}"
        )
    head = f"no class {ok_label!r} for good parts (found {', '.join(labels)}); "
    good = [label for label in labels if label.lower() in GOOD_NAMES]
    if not good:
        return f"{head}rename the folder of good parts, or name it with --ok-label"
    sets = found.folder_sets()
    learned = {label for file, label in found.labels.items() if sets[file] == "train"}
    option = f"--ok-label {good[0]}"
    if found.split and learned == {good[0]}:
        return (
            f"{head}add {option} --network one-class: train/ shows good parts only, as MVTec "
            "sets do"
        )
    return f"{head}add {option}"

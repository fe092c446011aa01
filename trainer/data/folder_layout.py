"""Finds the pictures of a data set and their labels, which are folder names.

What archives, file servers and other systems leave in such a folder is ignored. Files in formats
that edge-inspect does not read are counted and named, so that no picture is missing unnoticed.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge.core.errors import DatasetError
from edge.core.image import SUFFIXES, is_picture_name
from edge.core.text import escape, typed

SetName = Literal["train", "validation", "test"]
VALIDATION_FOLDERS = ("valid", "val", "validation")  # Roboflow writes valid/, Keras examples val/
SET_OF_FOLDER: dict[str, SetName] = {
    "train": "train",
    "test": "test",
    **dict.fromkeys(VALIDATION_FOLDERS, "validation"),
}
MAX_NAMES = 10
_WRITTEN_OTHERWISE = {"training": "train", "testing": "test"}  # besides other capitals
GOOD_NAMES = frozenset(("ok", "good", "normal", "pass", "io", "양품", "정상"))
# Left by macOS archives, Synology and QNAP servers, Windows and Linux volumes.
_SYSTEM_FOLDERS = frozenset(
    ("__macosx", "@eadir", "#recycle", "#snapshot", "@recycle", "$recycle.bin",
     "system volume information", "lost+found")
)  # fmt: skip
MANIFEST = "manifest.csv"
_SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini", MANIFEST))


@dataclass(slots=True)
class FoundPictures:
    """The pictures of a data set folder. Keys are posix names relative to the folder.

    - `split`: whether the folder has train/ and test/.
    - `labels`: the class folder of each picture.
    - `paths`: the file of each picture; its name may be written in another Unicode form.
    - `left_out`: files with another suffix, and pictures outside of class folders.
    """

    split: bool
    labels: dict[str, str] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def folder_sets(self) -> dict[str, SetName]:
        """The set of each picture by its folder; train for a folder that is not split."""
        if not self.split:
            return dict.fromkeys(self.labels, "train")
        return {file: SET_OF_FOLDER[file.split("/")[0]] for file in self.labels}

    def add(self, file: str, label: str, path: Path) -> None:
        """Raises DatasetError for a second picture of the same name."""
        if file in self.paths:
            raise DatasetError(
                f"{path}: a second picture has this name in another Unicode form; rename one"
            )
        self.labels[file] = label
        self.paths[file] = path

    def left_out_text(self) -> str:
        """One sentence about the files that are left out, empty if there are none."""
        if not self.left_out:
            return ""
        kinds = Counter(
            "in no class folder" if is_picture_name(name) else Path(name).suffix.lower()
            for name in self.left_out
        )
        listed = ", ".join(
            f"{count} {kind or 'without a suffix'}" for kind, count in sorted(kinds.items())
        )
        return (
            f"{len(self.left_out)} files left out: {listed} ({shortened_list(self.left_out)}); "
            f"pictures must be {', '.join(SUFFIXES)} in a class folder"
        )


def typed_name(name: str) -> str:
    """`name` in the form that a keyboard writes (Unicode NFC), safe to print and to store.

    macOS writes Hangul and accents as several characters (NFD). Bytes that are not UTF-8 and
    control characters become escapes such as `\\xbe`.
    """
    return escape(typed(name))


def shortened_list(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    rest = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def find_pictures(root: Path) -> FoundPictures:
    """The pictures below `root`, which has class folders, in train/, test/ and valid/ or not.

    The label is the name of the class folder; pictures may lie at any depth below it. Hidden
    files and folders of systems are ignored.
    Raises DatasetError for a folder that is missing, unreadable, half split, or has no pictures.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give the folder that holds the data set")
    set_folders = _set_folders(root)
    found = FoundPictures(split=bool(set_folders))
    for folder in set_folders or [root]:
        _add_classes(found, root, folder)
    if not found.labels:
        left_out = found.left_out_text()
        raise DatasetError(
            f"{root}: no pictures in {{train,test}}/<class>/ or <class>/ "
            f"({', '.join(SUFFIXES)}); make a folder for each class"
            + (f"\n  {left_out}" if left_out else "")
        )
    return found


def picture_path(root: Path, file: str) -> Path:
    """The file of a picture by its name in a report; its folders may be in the form of macOS."""
    path = root / file
    return path if path.exists() else root / unicodedata.normalize("NFD", file)


def _set_folders(root: Path) -> list[Path]:
    """The folders train/, test/ and valid/; empty for a folder that is not split."""
    _refuse_other_names(root)
    present = [name for name in SET_OF_FOLDER if (root / name).is_dir()]
    validation = [name for name in present if name in VALIDATION_FOLDERS]
    if "train" in present and "test" in present:
        if len(validation) > 1:
            raise DatasetError(
                f"{root}: has {'/ and '.join(validation)}/; keep one folder for validation"
            )
        return [root / name for name in present]
    if "train" in present and validation:
        raise DatasetError(
            f"{root}: has train/ and {validation[0]}/ but no test/; rename {validation[0]}/ to "
            "test/: validation pictures are then taken from train/"
        )
    sides = [name for name in present if name not in VALIDATION_FOLDERS]
    if sides:
        other = "test" if sides == ["train"] else "train"
        raise DatasetError(
            f"{root}: has {sides[0]}/ but no {other}/; add it, or move the class folders of "
            f"{sides[0]}/ up to be split by group"
        )
    nested = [
        entry
        for entry in _entries(root)
        if entry.is_dir() and (entry / "train").is_dir() and (entry / "test").is_dir()
    ]
    if nested:
        raise DatasetError(
            f"{root}: the data set lies one folder below: {nested[0].name}/ holds train/ and "
            f"test/; give {nested[0]}"
        )
    return []


def _refuse_other_names(root: Path) -> None:
    """Raises DatasetError for `Train/` and `Test/`, which would count as classes, and for a
    manifest under another name, whose groups would not count."""
    entries = _entries(root)
    meant = {
        entry.name: _WRITTEN_OTHERWISE.get(entry.name.lower(), entry.name.lower())
        for entry in entries
        if entry.is_dir()
    }
    sets = {name: right for name, right in meant.items() if right in SET_OF_FOLDER}
    wrong = [name for name, right in sets.items() if name != right]
    if wrong and "train" in sets.values() and len(set(sets.values())) > 1:
        raise DatasetError(f"{root}: has {wrong[0]}/; rename it to {sets[wrong[0]]}/")
    files = [entry.name for entry in entries if entry.name.lower().startswith(MANIFEST)]
    if files and MANIFEST not in files:
        raise DatasetError(
            f"{root / files[0]}: rename it to {MANIFEST}, or remove it: its groups do not count"
        )


def _add_classes(found: FoundPictures, root: Path, folder: Path) -> None:
    """Adds every picture in the class folders of `folder`."""
    for entry in _entries(folder):
        if not entry.is_dir():
            if _counts_as_left_out(entry):
                found.left_out.append(_name(root, entry))
            continue
        before = len(found.left_out)
        label = typed_name(entry.name)
        pictures = _below(found, root, entry)
        if not pictures:
            others = found.left_out[before:]
            raise DatasetError(
                f"{entry}: the class folder holds no picture ({', '.join(SUFFIXES)}"
                f"{f'; {len(others)} other files: {shortened_list(others)}' if others else ''}); "
                "fill it, convert its files, or remove it"
            )
        for path in pictures:
            found.add(_name(root, path), label, path)


def _entries(folder: Path) -> list[Path]:
    """The files and folders in `folder`, by name, without hidden ones and those of systems."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    return [
        entry
        for entry in entries
        if not entry.name.startswith(".") and entry.name.lower() not in _SYSTEM_FOLDERS
    ]


def _below(found: FoundPictures, root: Path, folder: Path) -> list[Path]:
    pictures: list[Path] = []
    for entry in _entries(folder):
        if entry.is_dir():
            if not _is_link_to_parent(entry):
                pictures += _below(found, root, entry)
        elif is_picture_name(entry):
            if entry.exists() and not entry.is_file():
                raise DatasetError(f"{entry}: is a pipe, a socket or a device; remove it")
            pictures.append(entry)
        elif _counts_as_left_out(entry):
            found.left_out.append(_name(root, entry))
    return pictures


def _is_link_to_parent(folder: Path) -> bool:
    """Whether a link leads back to a folder that holds it, which would never end."""
    return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath("x").parents


def _counts_as_left_out(file: Path) -> bool:
    return file.name.lower() not in _SYSTEM_FILES


def _name(root: Path, path: Path) -> str:
    return typed_name(path.relative_to(root).as_posix())

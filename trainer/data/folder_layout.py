"""Finds the pictures of a data set and their labels, which are folder names."""

from pathlib import Path

from edge.core.errors import DatasetError
from edge.core.image import SUFFIXES, is_picture_name


def find_pictures(root: Path) -> tuple[bool, dict[str, str]]:
    """Whether `root` is split into train/ and test/, and the label of each picture file.

    Files are posix paths relative to `root`. The label is the name of the class folder; pictures
    may lie at any depth below it. Hidden files and files of other types are ignored.
    Raises DatasetError for a folder that is missing, unreadable, half split, or has no pictures.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give the folder that holds the data set")
    split = _is_split(root)
    labels: dict[str, str] = {}
    for folder in [root / "train", root / "test"] if split else [root]:
        labels.update(_pictures(root, folder))
    if not labels:
        raise DatasetError(
            f"{root}: no pictures in {{train,test}}/<class>/ or <class>/ "
            f"({', '.join(SUFFIXES)}); make a folder for each class"
        )
    return split, labels


def _is_split(root: Path) -> bool:
    present = [name for name in ("train", "test") if (root / name).is_dir()]
    if len(present) == 1:
        other = "test" if present == ["train"] else "train"
        raise DatasetError(
            f"{root}: has {present[0]}/ but no {other}/; add it, or move the class folders of "
            f"{present[0]}/ up to be split by group"
        )
    return bool(present)


def _pictures(root: Path, folder: Path) -> dict[str, str]:
    """The label of every picture in the class folders of `folder`, by file."""
    found: dict[str, str] = {}
    for entry in _entries(folder):
        if not entry.is_dir() or entry.name.startswith("."):
            continue
        pictures = _below(entry)
        if not pictures:
            raise DatasetError(
                f"{entry}: the class folder holds no picture ({', '.join(SUFFIXES)}); "
                "fill it or remove it"
            )
        for path in pictures:
            found[path.relative_to(root).as_posix()] = entry.name
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be read ({error.strerror}); check its permissions"
        ) from error


def _below(folder: Path) -> list[Path]:
    pictures: list[Path] = []
    for entry in _entries(folder):
        if entry.is_dir():
            if not entry.name.startswith("."):
                pictures += _below(entry)
        elif is_picture_name(entry):
            pictures.append(entry)
    return pictures

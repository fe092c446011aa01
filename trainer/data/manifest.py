"""Reads manifest.csv, the group of each picture: it keeps a part on one side of the split."""

import csv
from collections.abc import Mapping
from pathlib import Path

from edge.core.errors import DatasetError

COLUMNS = ("file", "label", "group")
MAX_NAMES = 10


def read_manifest(path: Path, labels: Mapping[str, str]) -> dict[str, str]:
    """The group of each picture. Columns besides file, label and group are allowed.

    `labels` maps each picture found in the folders (posix path relative to the root) to the name
    of its class folder. Raises DatasetError, with the line, for:

    - an unreadable file, a missing column, an empty cell;
    - a picture that does not exist, stands on two lines or has no row;
    - a label that differs from the folder's.
    """
    groups: dict[str, str] = {}
    lines: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames)
            for row in reader:
                at = f"{path}:{reader.line_num}"
                name, group = _cells(at, row, labels)
                if name in lines:
                    raise DatasetError(
                        f"{at}: {name} stands on line {lines[name]} already; keep one of the rows"
                    )
                lines[name] = reader.line_num
                groups[name] = group
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:  # the reader counts a line once its row is whole
        raise DatasetError(
            f"{path}:{reader.line_num + 1}: is no CSV ({error}); check the quotation marks"
        ) from error
    missing = sorted(labels.keys() - groups.keys())
    if missing:
        raise DatasetError(
            f"{path}: {len(missing)} pictures have no row ({shortened_list(missing)}); "
            "add a row for each, or remove the pictures: one without a group could stand on "
            "both sides"
        )
    return groups


def shortened_list(names: list[str]) -> str:
    """The first ten names, and how many more there are."""
    rest = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _check_columns(path: Path, header: object) -> None:
    columns = list(header) if isinstance(header, (list, tuple)) else []
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise DatasetError(
            f"{path}:1: no column {' and no column '.join(missing)} (the first line says "
            f"{','.join(map(str, columns)) or 'nothing'!r}); begin the file with: file,label,group"
        )


def _cells(at: str, row: Mapping[str | None, object], labels: Mapping[str, str]) -> tuple[str, str]:
    if None in row or any(row[column] is None for column in COLUMNS):
        raise DatasetError(f"{at}: not as many cells as the first line has columns; fix the row")
    name, label, group = (str(row[column]).strip() for column in COLUMNS)
    for column, cell in zip(COLUMNS, (name, label, group)):
        if not cell:
            raise DatasetError(f"{at}: {column} is empty; fill it in, or remove the row")
    if name not in labels:
        raise DatasetError(
            f"{at}: {name} is no picture of this data set; remove the row, or write the path "
            "relative to the data set's folder, with /"
        )
    if label != labels[name]:
        raise DatasetError(
            f"{at}: {name} lies in the folder {labels[name]!r} but its label here is {label!r}; "
            "move the picture or correct the row"
        )
    return name, group

"""Reads manifest.csv, the group of each picture: it keeps a part on one side of the split.

The file may come from a spreadsheet: with commas, semicolons or tabs, a line `sep=;`, UTF-16,
other capitals in the first line, backslashes or `./` in paths, and empty rows.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from edge.core.errors import DatasetError
from trainer.data.folder_layout import MANIFEST, shortened_list, typed_name

__all__ = ["COLUMNS", "MANIFEST", "read_manifest"]

COLUMNS = ("file", "label", "group")
_DELIMITERS = ",;\t"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


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
    for line, row in _rows(path, _read_text(path)):
        at = f"{path}:{line}"
        name, group = _checked_row(at, path.parent, row, labels)
        if name in lines:
            raise DatasetError(
                f"{at}: {name} stands on line {lines[name]} already; keep one of the rows"
            )
        lines[name] = line
        groups[name] = group
    missing = sorted(labels.keys() - groups.keys())
    if missing:
        raise DatasetError(
            f"{path}: {len(missing)} pictures have no row ({shortened_list(missing)}); "
            "add a row for each, or remove the pictures: one without a group could stand on "
            "both sides"
        )
    return groups


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    encoding = "utf-16" if content.startswith(_UTF16_MARKS) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: is not UTF-8 ({error.reason}); save it as UTF-8 "
            '(in a spreadsheet: "CSV UTF-8")'
        ) from error


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The line number and the three cells of each row that is not empty."""
    stream = io.StringIO(text, newline="")
    skipped = 0
    delimiter = ""
    if text[:4].lower() == "sep=":
        delimiter = stream.readline().rstrip("\r\n")[4:] or ","
        skipped = 1
        if len(delimiter) != 1:
            raise DatasetError(f"{path}:1: sep= must name one character (got {delimiter!r})")
    first = text.splitlines()[skipped : skipped + 1] or [""]
    reader = csv.reader(stream, delimiter=delimiter or _delimiter(first[0]), strict=True)
    at_column: dict[str, int] = {}
    try:
        for cells in reader:
            line = reader.line_num + skipped
            if not at_column:
                at_column = _columns(f"{path}:{line}", cells)
            elif any(cell.strip() for cell in cells):
                yield line, _cells(f"{path}:{line}", cells, at_column)
    except csv.Error as error:  # the reader counts a line once its row is whole
        raise DatasetError(
            f"{path}:{reader.line_num + skipped}: is no CSV ({error}); check the quotation marks"
        ) from error
    if not at_column:
        _columns(f"{path}:1", [])


def _delimiter(first: str) -> str:
    """The character that divides the first line into the most cells."""
    return max(_DELIMITERS, key=first.count)


def _columns(at: str, header: Sequence[str]) -> dict[str, int]:
    """The place of every column, by its name in small letters. Counts all columns as `""`."""
    names = [cell.strip().lower() for cell in header]
    while names and not names[-1]:
        names.pop()
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise DatasetError(
            f"{at}: no column {' and no column '.join(missing)} (the first line says "
            f"{','.join(header) or 'nothing'!r}); begin the file with: file,label,group"
        )
    twice = [column for column in COLUMNS if names.count(column) > 1]
    if twice:
        raise DatasetError(f"{at}: two columns are named {twice[0]}; rename one of them")
    return {name: place for place, name in enumerate(names) if name in COLUMNS} | {"": len(names)}


def _cells(at: str, cells: Sequence[str], at_column: Mapping[str, int]) -> dict[str, str]:
    count = at_column[""]
    if len(cells) < count or any(cell.strip() for cell in cells[count:]):
        raise DatasetError(f"{at}: not as many cells as the first line has columns; fix the row")
    row = {column: cells[at_column[column]].strip() for column in COLUMNS}
    for column, cell in row.items():
        if not cell:
            raise DatasetError(f"{at}: {column} is empty; fill it in, or remove the row")
    return row


def _checked_row(
    at: str, root: Path, row: Mapping[str, str], labels: Mapping[str, str]
) -> tuple[str, str]:
    name, label = _picture_name(root, row["file"], labels), typed_name(row["label"])
    if name not in labels:
        raise DatasetError(
            f"{at}: {row['file']} is no picture of this data set; remove the row, or write the "
            "path relative to the data set's folder, with /"
        )
    if label != labels[name]:
        raise DatasetError(
            f"{at}: {name} lies in the folder {labels[name]!r} but its label here is {label!r}; "
            "move the picture or correct the row"
        )
    return name, typed_name(row["group"])


def _picture_name(root: Path, cell: str, labels: Mapping[str, str]) -> str:
    """The picture's name as the folders give it, from a path as people write it."""
    if cell in labels:
        return cell
    written = PurePosixPath(cell.replace("\\", "/"))
    absolute = PurePosixPath(root.resolve().as_posix())
    if written.is_relative_to(absolute):
        written = written.relative_to(absolute)
    return typed_name(written.as_posix())

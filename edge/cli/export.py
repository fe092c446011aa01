"""`edge-inspect export`: kept pictures with their labels, as a data set that edge-train reads.

Reads the files of the box, while the daemon runs or is stopped. Everything is written into a hidden
folder beside the target, flushed, and renamed. So a kill or a full disk leaves no half data set;
the next export into the same target removes the rest.
"""

import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.cli.label import user
from edge.cli.records import ok_label_of
from edge.config import load_config
from edge.core.errors import EXIT_DONE, EdgeInspectError, PictureError, RefusedError
from edge.core.messages import rfc3339
from edge.core.output import write_output
from edge.core.terms import Pixels
from edge.core.times import parse_time
from edge.plant import (
    ExportChoice,
    ExportFormat,
    ExportPicture,
    ExportPlan,
    picture_target,
    plan_export,
    text_files,
)
from edge.storage import EvidenceReader, EvidenceRecord, Labels

_SIDE = 32  # pixels of the thumbnails that are compared
_MAX_DIFFERENCE = 4.0  # grey levels of 255, on average


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The options: the folder, the choice, the start time (as typed), and the format."""

    target: Path
    choice: ExportChoice
    since: str | None
    form: ExportFormat


def export(config_path: Path, request: ExportRequest) -> int:
    """Writes the folder and marks its labels as exported."""
    now = time.time()
    since = None if request.since is None else parse_time(request.since, now, "--since")
    config = load_config(config_path, check_files=False)
    labels = Labels.beside(config.outbox.path)
    check_target(request.target)
    plan = plan_export(
        EvidenceReader(config.archive.path).records(since),
        {label.id: label for label in labels.all()},
        request.choice,
        ok_label_of(config),
        look_alike,
    )
    if not plan.pictures:
        raise RefusedError(_nothing(config.archive.path, plan))
    written = write_export(request.target, plan, request.form)
    _mark(labels, written, request.target, now)
    write_output(_summary(request.target, plan, written))
    return EXIT_DONE


def check_target(target: Path) -> None:
    """Raises EdgeInspectError unless the target is absent or an empty folder."""
    try:
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise EdgeInspectError(
            f"-o {target}: cannot be read ({error.strerror}); give a folder of yours"
        ) from error
    if taken:
        raise EdgeInspectError(
            f"-o {target}: is there already and not empty; give a new folder, so that no picture "
            "of another export mixes in"
        )


def look_alike(first: EvidenceRecord, second: EvidenceRecord) -> bool:
    """Whether the pictures of two verdicts differ by at most 4 grey levels on average, at 32 px."""
    small = _thumbnail(first), _thumbnail(second)
    if small[0] is None or small[1] is None:
        return False
    difference = np.abs(small[0].astype(np.int16) - small[1].astype(np.int16))
    return float(difference.mean()) <= _MAX_DIFFERENCE


def write_export(target: Path, plan: ExportPlan, form: ExportFormat) -> list[ExportPicture]:
    """Writes the folder whole or not at all. Returns the written pictures: the budget may have
    removed some meanwhile. Raises EdgeInspectError."""
    half = target.with_name(f".{target.name}.unfinished")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(half, ignore_errors=True)  # of an export that was killed
        half.mkdir()
        written = [one for one in plan.pictures if _copy(one, half / picture_target(one, form))]
        if not written:
            raise RefusedError(
                "the budget has removed all chosen pictures meanwhile; choose newer ones, or raise "
                "archive.max_mb"
            )
        for name, text in text_files(written, form, target.resolve().name).items():
            _write(half / name, text.encode())
        for folder in (half, *(one for one in half.iterdir() if one.is_dir())):
            _flush_folder(folder)
        half.replace(target)  # replaces an empty folder
        _flush_folder(target.parent)
    except OSError as error:
        raise EdgeInspectError(
            f"-o {target}: cannot be written ({error.strerror or error}); make room, or give a "
            "folder of yours"
        ) from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return written


def _thumbnail(record: EvidenceRecord) -> Pixels | None:
    try:
        data = np.frombuffer(record.read(), np.uint8)
        grey = cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_4)
    except (OSError, PictureError, cv2.error):
        return None
    if grey is None:
        return None
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _copy(picture: ExportPicture, target: Path) -> bool:
    """Whether the picture was still there. Raises OSError when it cannot be written."""
    try:
        data = picture.record.read(picture.number)
    except FileNotFoundError:
        return False
    target.parent.mkdir(exist_ok=True)
    _write(target, data)
    return True


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _mark(labels: Labels, written: list[ExportPicture], target: Path, now: float) -> None:
    ids = ExportPlan(tuple(written), 0).labelled_ids
    try:
        labels.mark_exported(ids, at=rfc3339(now), by=user(), note=str(target.resolve()))
    except RefusedError as error:
        write_output(f"note: the labels are not marked as exported ({error})\n")


def _summary(target: Path, plan: ExportPlan, written: list[ExportPicture]) -> str:
    counts = Counter(one.label for one in written)
    classes = ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
    groups = len({one.group for one in written})
    verdicts = len({one.record.id for one in written})
    people = len(ExportPlan(tuple(written), 0).labelled_ids)
    lines = [
        f"{target}: {len(written)} pictures of {verdicts} verdicts in {groups} groups ({classes})",
        f"labelled by people: {people} verdicts",
    ]
    if people < verdicts:
        lines.append(
            f"labelled by the model: {verdicts - people} verdicts; a person must check these "
            "before a training learns from them"
        )
    if plan.without_label:
        lines.append(f"left out: {plan.without_label} verdicts that have no label")
    if removed := len(plan.pictures) - len(written):
        lines.append(f"left out: {removed} pictures that the budget removed meanwhile")
    if any(one.record.view for one in written):
        lines.append(
            "the pictures are whole camera frames; train with --view config.yaml:CAMERA to cut them"
        )
    return "".join(f"{line}\n" for line in lines)


def _nothing(archive: Path, plan: ExportPlan) -> str:
    if plan.without_label:
        return (
            f"nothing to export: {plan.without_label} chosen verdicts have no label; label them "
            "with edge-inspect label"
        )
    return (
        f"nothing to export: {archive} holds no picture of this choice; see edge-inspect "
        "history --truth LABEL, or choose by --verdict and --since (archive.keep chooses "
        "the kept pictures)"
    )

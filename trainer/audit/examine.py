"""Runs one audit: reads the pictures of a folder and collects the findings."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.audit.alignment import Alignment, SharedStructure, shared_structure
from trainer.audit.copies import FoundCopies, find_copies
from trainer.audit.features import CheapFeatures, Features
from trainer.audit.findings import Audit, Duplicate
from trainer.audit.fingerprint_store import FingerprintStore
from trainer.audit.inferred_groups import infer_groups
from trainer.audit.job_processes import one_thread
from trainer.audit.label_errors import rank_labels, suspected_mislabels
from trainer.audit.near_duplicates import exact_duplicates, near_duplicates
from trainer.audit.outliers import find_outliers
from trainer.audit.residual_features import residual_features
from trainer.audit.scan import (
    AuditItem,
    PictureReader,
    ScannedPicture,
    UnreadablePicture,
    scan_pictures,
)
from trainer.audit.shortcut_features import find_shortcuts, lighting_by_label
from trainer.audit.total_progress import TotalProgress
from trainer.data import Dataset
from trainer.data.folder_layout import find_pictures
from trainer.data.manifest import MANIFEST, read_manifest
from trainer.data.merged_set import MergedPicture, Source

Progress = Callable[[str, int, int], None]

MIN_FOR_PROCESSES = 64  # pictures: of fewer, one process reads all before others have started
MIN_CLASS_PICTURES = 50
MAX_CLASS_RATIO = 20  # of the largest class to the smallest


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """Options of an audit.

    - `workers`: the number of processes and threads, by default one a processor.
    - `thorough`: compares more pairs of each picture, after the usual search.
    - `max_leaking`: with more test pictures than that in leaks, the search for copies ends early.
    """

    ok_label: str = "ok"
    workers: int | None = None
    thorough: bool = False
    max_leaking: int | None = None


def audit_items(root: Path) -> list[AuditItem]:
    """The pictures of a folder in either layout, by file. Raises DatasetError."""
    found = find_pictures(root)
    manifest = root / MANIFEST
    groups: Mapping[str, str] = read_manifest(manifest, found.labels) if manifest.exists() else {}
    sides: Mapping[str, str] = found.folder_sets() if found.split else {}
    return [
        AuditItem(found.paths[file], file, label, sides.get(file, ""), groups.get(file))
        for file, label in sorted(found.labels.items())
    ]


def merged_items(sources: Sequence[Source], pictures: Sequence[MergedPicture]) -> list[AuditItem]:
    """The pictures of several data sets, as one training has them."""
    listed = any((source.root / MANIFEST).exists() for source in sources)
    return [
        AuditItem(
            one.path, one.target, one.label, one.set_name or "", one.group if listed else None
        )
        for one in pictures
    ]


def items_as_split(data: Dataset) -> list[AuditItem]:
    """The pictures of a training: sides are train, validation and test."""
    listed = (data.root / MANIFEST).exists()
    return [
        AuditItem(one.path, one.file, one.label, one.set_name, one.group if listed else None)
        for one in data.samples
    ]


def audit_dataset(
    root: Path,
    options: AuditOptions | None = None,
    progress: Progress | None = None,
    items: Sequence[AuditItem] | None = None,
    features: Features | None = None,
) -> Audit:
    """Reads every picture of a data set and collects the findings.

    `progress` receives the step's name, and the parts done and all parts of the whole. Raises
    DatasetError for a folder that is no data set; unreadable pictures are findings.
    """
    started = time.monotonic()
    options = options or AuditOptions()
    items = audit_items(root) if items is None else items
    steps = TotalProgress(progress or (lambda *_: None), len(items), thorough=options.thorough)
    workers = options.workers or (os.cpu_count() or 1 if len(items) >= MIN_FOR_PROCESSES else 1)
    audit = Audit(str(root), pictures=len(items))
    scanned: list[ScannedPicture] = []
    rows: list[int] = []  # row of the store → first picture with these pixels
    with FingerprintStore(len(items)) as store:
        first: dict[bytes, int] = {}
        for one in scan_pictures(
            items, features or CheapFeatures(), workers, steps.step("reading pictures")
        ):
            if isinstance(one, UnreadablePicture):
                audit.unreadable.append(
                    {"file": one.item.file, "kind": one.kind, "reason": one.reason}
                )
                continue
            if one.pixel_hash not in first:
                first[one.pixel_hash] = len(scanned)
                store.add(one.fingerprint)
                rows.append(len(scanned))
            scanned.append(one.without_fingerprint())
        distinct = [scanned[row] for row in rows]
        known = _exactly_leaking(scanned)
        with one_thread():
            common = shared_structure(store, np.arange(len(store)))
        copies = _search_copies(
            store, distinct, workers, steps, options, common=common, exactly_leaking=known
        )
        checking = steps.step("checking labels")
        checking(0, len(items))
        residuals = residual_features(store, common)
    near = {(rows[low], rows[high]): match for (low, high), match in copies.matches.items()}
    audit.pairs_compared = copies.compared
    audit.thorough_added = copies.added if options.thorough else None
    residual_of = {scanned[row].pixel_hash: residuals[at] for at, row in enumerate(rows)}
    table = [np.concatenate([one.features, residual_of[one.pixel_hash]]) for one in scanned]
    audit.stopped = copies.stopped
    _add_findings(audit, scanned, table, near, options)
    checking(len(items), len(items))
    audit.seconds = time.monotonic() - started
    return audit


def _search_copies(
    store: FingerprintStore,
    pictures: Sequence[ScannedPicture],
    workers: int,
    steps: TotalProgress,
    options: AuditOptions,
    *,
    common: SharedStructure,
    exactly_leaking: int,
) -> FoundCopies:
    """The copies among the pictures of the store's rows."""
    most = None if options.max_leaking is None else options.max_leaking - exactly_leaking
    if most is not None and most < 0:
        return FoundCopies(stopped=True)
    return find_copies(
        store,
        common,
        PictureReader(tuple(one.item.path for one in pictures)),
        workers,
        steps,
        sides=["test" if one.item.side == "test" else "" for one in pictures],
        thorough=options.thorough,
        max_leaking=most,
    )


def _exactly_leaking(scanned: Sequence[ScannedPicture]) -> int:
    """The test pictures with a copy of equal pixels on the other side: no search is needed."""
    outside = {one.pixel_hash for one in scanned if one.item.side != "test"}
    return sum(one.item.side == "test" and one.pixel_hash in outside for one in scanned)


def _add_findings(
    audit: Audit,
    scanned: list[ScannedPicture],
    table: list[NDArray[np.float32]],
    near: dict[tuple[int, int], Alignment],
    options: AuditOptions,
) -> None:
    """Adds the findings that need no pixels; `table` has the features of each scanned picture."""
    alike = exact_duplicates(scanned) + near_duplicates(scanned, near)
    pairs = [(rows, duplicate) for rows, duplicate in alike if duplicate.certain]
    audit.look_alikes = [duplicate for _, duplicate in alike if not duplicate.certain]
    duplicates = [duplicate for _, duplicate in pairs]
    audit.counts = _counts(scanned)
    audit.outliers = find_outliers(scanned)
    audit.lighting = lighting_by_label(scanned)
    audit.imbalance = _imbalance(audit.counts)
    given = {one.item.file: one.item.group for one in scanned if one.item.group is not None}
    # A copy with one changed place still shows the same part.
    group, audit.parts = infer_groups(
        [one.item.file for one in scanned],
        [(duplicate.file, duplicate.other) for duplicate in duplicates],
        given,
    )
    groups = [group[one.item.file] for one in scanned]
    _sort_duplicates(audit, scanned, pairs, given)
    audit.possible_leaks = _possible_leaks(scanned, audit)
    audit.shortcuts = find_shortcuts(scanned, groups, options.ok_label)
    copies: list[list[int]] = [[] for _ in scanned]
    for (low, high), duplicate in pairs:
        if not duplicate.changed:
            copies[low].append(high)
            copies[high].append(low)
    if scanned and not audit.stopped:
        labels, files = [one.item.label for one in scanned], [one.item.file for one in scanned]
        with one_thread():
            audit.label_ranking = rank_labels(np.stack(table), labels, groups, copies, files)
        audit.suspected_mislabels = suspected_mislabels(audit.label_ranking)


def _sort_duplicates(
    audit: Audit,
    scanned: list[ScannedPicture],
    pairs: list[tuple[tuple[int, int], Duplicate]],
    given: dict[str, str],
) -> None:
    for (low, high), duplicate in pairs:
        one, other = scanned[low].item, scanned[high].item
        audit.duplicates.append(duplicate)
        if (one.side == "test") != (other.side == "test"):
            audit.leaks.append(duplicate)
        elif one.side != other.side:
            audit.notes.append(f"{one.file} is a copy of {other.file} ({one.side}, {other.side})")
        if given and one.group != other.group:
            audit.across_groups.append(duplicate)
        if not duplicate.same_label and not duplicate.changed:
            audit.two_labels.append(duplicate)
    sides: dict[str, dict[bool, str]] = defaultdict(dict)
    for item in (picture.item for picture in scanned):
        if item.group is not None:
            sides[item.group].setdefault(item.side == "test", item.file)
    labels = {picture.item.file: picture.item.label for picture in scanned}
    for name, files in sorted(sides.items()):
        if len(files) == 2:
            same = labels[files[False]] == labels[files[True]]
            how = f"the manifest's group {name!r} stands on both sides"
            audit.leaks.append(
                Duplicate(files[True], files[False], how, 1.0, False, True, False, same)
            )


def _possible_leaks(scanned: list[ScannedPicture], audit: Audit) -> list[dict[str, object]]:
    """Parts on both sides of the split, inferred from file names only."""
    side = {one.item.file: one.item.side for one in scanned}
    known = {file for duplicate in audit.leaks for file in (duplicate.file, duplicate.other)}
    found: list[dict[str, object]] = []
    for part in audit.parts:
        tested = [file for file in part["files"] if side[file] == "test"]
        others = [file for file in part["files"] if side[file] != "test"]
        if tested and others and not known.intersection(part["files"]):
            found.append({"file": tested[0], "twin": others[0], "how": " and ".join(part["why"])})
    return found


def _counts(scanned: list[ScannedPicture]) -> dict[str, dict[str, int]]:
    found = Counter((one.item.side or "all", one.item.label) for one in scanned)
    sides, labels = ({key[at] for key in found} for at in (0, 1))
    return {side: {label: found[side, label] for label in sorted(labels)} for side in sorted(sides)}


def _imbalance(counts: dict[str, dict[str, int]]) -> list[str]:
    total: Counter[str] = Counter()
    for row in counts.values():
        total.update(row)
    if not total:
        return []
    sentences = [
        f"only {count} pictures of {label!r}"
        for label, count in sorted(total.items())
        if count < MIN_CLASS_PICTURES
    ]
    (largest, many), (smallest, few) = total.most_common()[0], total.most_common()[-1]
    if many > MAX_CLASS_RATIO * max(1, few):
        sentences.append(f"{many} pictures of {largest!r} against {few} of {smallest!r}")
    return sentences

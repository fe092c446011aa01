"""Which kept pictures an export has, with which label, and which of them show one part. Pure.

Groups keep a part on one side of a training's split:

- All pictures of a triggered part form one group, by the part's id.
- Without a part id, pictures of one camera form a *burst*: each was taken at most 10 seconds after
  the one before it and looks like it. What looks alike is for the caller to say.
- Every other picture is a group of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edge.core.terms import EXPORTED_GROUP
from edge.core.text import typed
from edge.storage import EvidenceRecord, Label

BURST_GAP_S = 10.0
BY_MODEL = "model"


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What to export: all kept pictures, or of one verdict, or with a person's label only."""

    labelled: bool = False
    verdict: str | None = None

    def has(self, record: EvidenceRecord, label: Label | None) -> bool:
        """Whether a record is chosen."""
        return (label is not None or not self.labelled) and self.verdict in (None, record.verdict)


@dataclass(frozen=True, slots=True)
class ExportPicture:
    """One picture of an export.

    - `number`: the record's frame, from 0.
    - `label`: also the name of the class folder.
    - `labelled_by`: who said so; `model` when nobody did.
    """

    record: EvidenceRecord
    number: int
    label: str
    labelled_by: str
    group: str

    @property
    def name(self) -> str:
        """The file's name, the same as in the archive."""
        return self.record.frames[self.number].file


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """The pictures, and the number of chosen verdicts without any label."""

    pictures: tuple[ExportPicture, ...]
    without_label: int

    @property
    def labelled_ids(self) -> list[str]:
        """The verdicts with a person's label."""
        found = (one.record.id for one in self.pictures if one.labelled_by != BY_MODEL)
        return list(dict.fromkeys(found))


def plan_export(
    records: Iterable[EvidenceRecord],
    labels: Mapping[str, Label],
    choice: ExportChoice,
    ok_label: str,
    alike: Callable[[EvidenceRecord, EvidenceRecord], bool],
) -> ExportPlan:
    """The plan. `labels`: by verdict id, those that count. `alike`: of one camera's pictures.

    A part's label is for all of its frames only if it is `ok_label`: of a defective part, some
    frames may not show the defect, so only the verdict's own picture is exported.
    """
    chosen = sorted(
        (record for record in records if choice.has(record, labels.get(record.id))),
        key=lambda record: (record.time_ms, record.id),
    )
    groups = _groups(chosen, alike)
    pictures: list[ExportPicture] = []
    without = 0
    for record in chosen:
        said = labels.get(record.id)
        label = said.label if said is not None else _model_label(record)
        if label is None:
            without += 1
            continue
        by = said.by if said is not None else BY_MODEL
        for number in range(len(record.frames) if label == ok_label else 1):
            pictures.append(
                ExportPicture(record, number, folder_name(label), by, groups[record.id])
            )
    return ExportPlan(tuple(pictures), without)


def folder_name(label: str) -> str:
    """The class folder of a label; a model's label may hold characters that a path cannot."""
    safe = "".join("_" if one in "/\\" or not one.isprintable() else one for one in typed(label))
    return f"_{safe[1:]}" if safe.startswith(".") else safe


def _model_label(record: EvidenceRecord) -> str | None:
    label = (record.result or {}).get("label")
    return label if isinstance(label, str) and label else None


def _groups(
    records: Iterable[EvidenceRecord], alike: Callable[[EvidenceRecord, EvidenceRecord], bool]
) -> dict[str, str]:
    """The group of each record, by its id. `records` are in order of time."""
    found: dict[str, str] = {}
    last: dict[str, EvidenceRecord] = {}  # by camera
    for record in records:
        result = record.result or {}
        line = f"{EXPORTED_GROUP}{result.get('station', '')}"
        if (part := result.get("part")) is not None:
            found[record.id] = f"{line}/part/{part}"
            continue
        before = last.get(record.camera)
        last[record.camera] = record
        joins = (
            before is not None
            and record.time_ms - before.time_ms <= BURST_GAP_S * 1000
            and alike(before, record)
        )
        found[record.id] = (
            found[before.id] if joins and before is not None else f"{line}/verdict/{record.id}"
        )
    return found

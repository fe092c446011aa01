"""What an export has: choice, labels, frames, and groups that keep a part on one side."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.ids import uuid7
from edge.core.terms import EXPORTED_GROUP
from edge.plant import ExportChoice, ExportPlan, plan_export, text_files
from edge.plant.export_plan import folder_name
from edge.storage import EvidenceFrame, EvidenceRecord, Label

NOON_MS = 1_796_040_000_000


def record(
    after_s: float = 0.0,
    *,
    verdict: Any = "fail",
    camera: str = "top",
    part: str | None = None,
    frames: int = 1,
    bare: bool = False,
    **result: Any,
) -> EvidenceRecord:
    """A kept picture, `after_s` seconds after noon; `bare`: of an earlier version."""
    at = NOON_MS + int(after_s * 1000)
    name = uuid7(at)
    stem = f"{verdict}-{camera}-{name}"
    kept = tuple(
        EvidenceFrame(f"{stem}.jpg" if n == 1 else f"{stem}.{n}.jpg", n, "2026", "camera-jpeg")
        for n in range(1, frames + 1)
    )
    body = {
        "id": name,
        "station": "L3",
        "camera": camera,
        "part": part,
        "verdict": verdict,
        "label": "scratch",
        "score": 0.9,
        "captured_at": "2026-11-30T12:00:00.000Z",
        "model": {"name": "m", "version": "7", "sha256": "ab"},
        **result,
    }
    found = {} if bare else {"result": body}
    return EvidenceRecord(Path("archive"), stem, name, verdict, camera, at, kept, found)


def plan(
    records: Iterable[EvidenceRecord],
    labels: dict[str, str] | None = None,
    choice: ExportChoice | None = None,
    *,
    alike: bool = True,
) -> ExportPlan:
    said = {name: Label(name, text, "2026", "kim") for name, text in (labels or {}).items()}
    return plan_export(records, said, choice or ExportChoice(), "ok", lambda _a, _b: alike)


def groups(records: Sequence[EvidenceRecord], *, alike: bool = True) -> list[str]:
    found = {one.record.id: one.group for one in plan(records, alike=alike).pictures}
    return [found[one.id] for one in records]


def test_a_persons_label_counts_before_the_models() -> None:
    first, second = record(0), record(60)
    found = {one.record.id: one for one in plan([first, second], {first.id: "ok"}).pictures}
    assert (found[first.id].label, found[first.id].labelled_by) == ("ok", "kim")
    assert (found[second.id].label, found[second.id].labelled_by) == ("scratch", "model")
    assert plan([first, second], {first.id: "ok"}).labelled_ids == [first.id]


def test_the_choice() -> None:
    failed, passed = record(0), record(60, verdict="pass", label="ok")
    labels = {passed.id: "scratch"}
    only = plan([failed, passed], labels, ExportChoice(labelled=True)).pictures
    assert [one.record.id for one in only] == [passed.id]
    fails = plan([failed, passed], labels, ExportChoice(verdict="fail")).pictures
    assert [one.record.id for one in fails] == [failed.id]


def test_verdicts_without_a_label_are_counted() -> None:
    found = plan([record(0, verdict="error", label=None), record(60, bare=True)])
    assert not found.pictures
    assert found.without_label == 2


def test_all_frames_of_a_good_part_and_the_shown_one_of_a_defective() -> None:
    one = record(part="7", frames=3)
    assert len(plan([one], {one.id: "ok"}).pictures) == 3
    defective = plan([one], {one.id: "dent"}).pictures
    assert [each.name for each in defective] == [one.frames[0].file]


def test_pictures_of_one_part_id_are_one_group_however_far_apart() -> None:
    found = groups([record(0, part="7"), record(0.1, part="8"), record(9_000, part="7")])
    assert found == [f"{EXPORTED_GROUP}L3/part/{part}" for part in ("7", "8", "7")]


@pytest.mark.parametrize(
    ("second", "alike", "together"),
    [
        ({"after_s": 10.0}, True, True),
        ({"after_s": 10.1}, True, False),
        ({"after_s": 1.0}, False, False),
        ({"after_s": 1.0, "camera": "side"}, True, False),
        ({"after_s": 1.0, "bare": True, "verdict": "fail"}, True, True),
    ],
)
def test_a_burst_is_near_in_time_alike_and_of_one_camera(
    second: dict[str, Any], alike: bool, together: bool
) -> None:
    first, other = record(0), record(**second)
    labels = {first.id: "dent", other.id: "dent"}
    found = {one.record.id: one.group for one in plan([first, other], labels, alike=alike).pictures}
    assert (found[first.id] == found[other.id]) == together


def test_a_burst_goes_on_from_picture_to_picture() -> None:
    assert len(set(groups([record(8.0 * at) for at in range(20)]))) == 1


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from((None, "1", "2"))), max_size=20))
def test_the_order_of_the_records_does_not_matter(rows: list[tuple[float, str | None]]) -> None:
    records = [record(after, part=part) for after, part in rows]
    assert plan(records) == plan(records[::-1])


@pytest.mark.parametrize(
    ("label", "folder"),
    [("scratch", "scratch"), ("a/b", "a_b"), ("..", "_."), ("긁힘", "긁힘"), ("x\ny", "x_y")],
)
def test_a_label_is_one_folder(label: str, folder: str) -> None:
    assert folder_name(label) == folder


def test_label_studio_tasks() -> None:
    first, second = record(0), record(60)
    pictures = plan([first, second], {first.id: "ok"}).pictures
    files = text_files(pictures, "label-studio", "week 48")
    task = json.loads(files["tasks.json"])[0]
    assert task["data"]["image"] == f"/data/local-files/?d=week%2048/pictures/{pictures[0].name}"
    assert task["predictions"][0]["result"][0]["value"] == {"choices": ["scratch"]}
    assert task["annotations"][0]["result"][0]["value"] == {"choices": ["ok"]}
    assert "annotations" not in json.loads(files["tasks.json"])[1]
    assert '<Choice value="scratch"/>' in files["labels.xml"]


def test_the_csv_has_the_facts() -> None:
    files = text_files(plan([record(0, part='7,"x"')]).pictures, "csv", "x")
    head, row = files["pictures.csv"].splitlines()
    assert head.startswith("file,label,group,labelled_by,id,verdict,score,camera,part")
    assert row.startswith("pictures/fail-top-")
    assert '"7,""x"""' in row

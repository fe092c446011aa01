"""`edge-train audit` for its users: exit codes, messages and the JSON file."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.core.errors import RefusedError
from tests.support.audit_planting import warp
from tests.trainer.audit.conftest import draw_part, write
from trainer.audit import AuditOptions, audit_dataset
from trainer.audit.findings import Audit, Duplicate
from trainer.audit.leak_handling import excluded_test_pictures
from trainer.audit.text_report import audit_summary
from trainer.audit.training_check import audit_training
from trainer.cli.main import main
from trainer.core.progress import Display
from trainer.data.dataset import Dataset, Sample, load_dataset
from trainer.data.folder_layout import SetName


def audited(root: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of an audit."""
    file = root.parent / "audit.json"
    code = main(["audit", str(root), "--json", str(file), *options])
    return code, json.loads(file.read_text(encoding="utf-8"))


def test_a_clean_set_exits_0(parts_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Different parts give no finding about copies, exit code 0, and all lists in the JSON."""
    code, found = audited(parts_set)
    assert code == 0
    assert found["pictures"] == 12
    for name in ("unreadable", "duplicates", "leaks", "suspected_mislabels", "two_labels"):
        assert found[name] == []
    assert "12 pictures" in capsys.readouterr().out


def test_a_leak_exits_1_and_is_described(
    parts_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A turned copy of a test picture in train is a leak with file, twin and how."""
    copy = warp(draw_part(9), 90, 0)[:, 25:175]
    write(parts_set / "train/ok/new.jpg", np.ascontiguousarray(copy))
    code, found = audited(parts_set)
    assert code == 1
    (leak,) = found["leaks"]
    assert leak["file"] == "train/ok/new.jpg"
    assert leak["twin"] == "test/ok/jjj.png"
    assert "rotated by 270°" in leak["how"]
    out = capsys.readouterr().out
    assert "LEAKS between train and test: 1 pairs" in out
    assert "move all pictures of a part to one side" in out


def test_equal_bytes_and_equal_pixels_are_exact(parts_set: Path) -> None:
    """Equal bytes and equal pixels in another format are both found, with different reasons."""
    first = parts_set / "train/ok/bbb.png"
    (parts_set / "train/ok/same.png").write_bytes(first.read_bytes())
    pixels = np.asarray(cv2.imread(str(first)), np.uint8)
    write(parts_set / "train/scratch/other.bmp", pixels)
    code, found = audited(parts_set)
    assert code == 0  # copies within train: a finding, no refusal
    how = {duplicate["twin"]: duplicate["how"] for duplicate in found["duplicates"]}
    assert how["train/ok/same.png"] == "the same bytes"
    assert how["train/scratch/other.bmp"] == "the same pixels in another file"
    assert {duplicate["same_label"] for duplicate in found["two_labels"]} == {False}
    assert any(part["files"][0] == "train/ok/bbb.png" for part in found["parts"])


def test_broken_pictures_are_findings(parts_set: Path) -> None:
    """Empty, truncated and foreign files are listed with the reason, exit code 1, no crash."""
    whole = write(parts_set / "train/ok/whole.jpg", draw_part(50)).read_bytes()
    (parts_set / "train/ok/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (parts_set / "train/ok/empty.png").write_bytes(b"")
    (parts_set / "test/ok/text.png").write_text("no picture")
    code, found = audited(parts_set)
    assert code == 1
    kinds = {one["file"]: one["kind"] for one in found["unreadable"]}
    assert kinds == {
        "train/ok/cut.jpg": "truncated",
        "train/ok/empty.png": "unreadable",
        "test/ok/text.png": "unreadable",
    }


def test_odd_pictures_are_named(parts_set: Path) -> None:
    """Tiny, oddly shaped, coloured and transparent pictures are named among the others."""
    write(parts_set / "train/ok/icon.png", draw_part(1)[:8, :8])
    write(parts_set / "train/ok/wide.png", draw_part(60, 600, 50))
    coloured = draw_part(61)
    coloured[..., 0] //= 3
    write(parts_set / "train/ok/red.png", coloured)
    alpha = np.dstack([draw_part(62), np.full((150, 200), 255, np.uint8)])
    write(parts_set / "train/ok/glass.png", alpha)
    _, found = audited(parts_set)
    kinds = {(one["file"].rsplit("/")[-1], one["kind"]) for one in found["odd"]}
    assert kinds >= {
        ("icon.png", "tiny"),
        ("wide.png", "odd shape"),
        ("red.png", "odd mode"),
        ("glass.png", "odd mode"),
    }


def test_a_group_on_both_sides_is_a_leak(parts_set: Path) -> None:
    """One manifest group in train and test is a leak that names the group."""
    files = sorted(path.relative_to(parts_set).as_posix() for path in parts_set.rglob("*.png"))
    rows = [f"{file},{file.split('/')[1]},{Path(file).stem}" for file in files]
    rows = [row.replace(",bbb", ",lot7").replace(",jjj", ",lot7") for row in rows]
    (parts_set / "manifest.csv").write_text("file,label,group\n" + "\n".join(rows) + "\n")
    code, found = audited(parts_set)
    assert code == 1
    assert "'lot7' stands on both sides" in found["leaks"][0]["how"]


def test_names_across_the_split_are_only_a_warning(tmp_path: Path) -> None:
    """File names that suggest one part on both sides are possible leaks, exit code 0."""
    root = tmp_path / "plates"
    for number in range(16):
        side = "train" if number % 2 else "test"
        label = "ok" if number % 4 < 2 else "scratch"
        name = f"part{number // 2:02}_shot{number % 2}.png"
        write(root / side / label / name, draw_part(number))
    code, found = audited(root)
    assert code == 0
    assert found["leaks"] == []
    assert len(found["possible_leaks"]) == 8
    assert found["possible_leaks"][0]["how"] == "like file names"


def test_the_suggested_manifest_can_be_used(tmp_path: Path) -> None:
    """The manifest for a flat set gives copies one group."""
    root = tmp_path / "plates"
    for number in range(12):
        label = "ok" if number % 2 else "scratch"
        write(root / label / f"{chr(97 + number) * 3}.png", draw_part(number))
    write(root / "ok/copy.png", np.ascontiguousarray(draw_part(1)[::-1]))
    assert main(["audit", str(root), "--suggest", str(root / "manifest.csv")]) == 0
    group = {sample.file: sample.group for sample in load_dataset(root).samples}
    assert group["ok/copy.png"] == group["ok/bbb.png"]
    assert len(set(group.values())) == 12


@pytest.mark.usefixtures("require_train")
def test_a_training_sets_a_leaking_test_picture_aside_unless_allowed(parts_set: Path) -> None:
    """The audit before a training names the test picture and leaves it out, or records that leaks
    were allowed."""
    write(parts_set / "train/ok/new.jpg", draw_part(9), quality=60)
    data = load_dataset(parts_set)
    with Display() as display:
        left_out = audit_training(data, allow_leaks=False, display=display)
        allowed = audit_training(data, allow_leaks=True, display=display)
    assert left_out["set_aside"] == ["test/ok/jjj.png"]
    assert left_out["leaks_allowed"] is False
    assert allowed["set_aside"] == []
    assert allowed["leaks"] == 1
    assert allowed["leaks_allowed"] is True


@pytest.mark.parametrize("exact", [True, False])
def test_the_search_ends_early_when_a_training_will_be_refused(
    parts_set: Path, exact: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """More leaking test pictures than allowed end the search; the report says so. The audit command
    searches to the end."""
    for name, number in (("iii", 8), ("jjj", 9), ("kkk", 10)):
        options = {} if exact else {"quality": 60}
        suffix = "png" if exact else "jpg"
        write(parts_set / f"train/ok/again-{name}.{suffix}", draw_part(number), **options)
    write(parts_set / "train/ok/again-aaa.jpg", draw_part(0), quality=60)
    stopped = audit_dataset(parts_set, AuditOptions(max_leaking=2))
    whole = audit_dataset(parts_set, AuditOptions(max_leaking=3))
    assert (stopped.stopped, whole.stopped) == (True, False)
    assert len(stopped.leaks) == len(whole.leaks) == 3
    assert len(stopped.duplicates) == 3
    assert len(whole.duplicates) == 4
    assert "ended early" in audit_summary(stopped)
    assert main(["audit", str(parts_set)]) == 1
    assert "4 pairs" in capsys.readouterr().out


def test_a_log_file_gets_one_line_a_step_with_the_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The estimate is for all steps together: a quarter done in 10 s leaves 30 s."""
    clock = iter([0.0, 10.0])
    with Display(lambda: next(clock)) as display:
        show = display.stage("audit")
        show("reading pictures", 0, 1000)
        show("reading pictures", 100, 1000)
        show("comparing pairs", 250, 1000)
        show("comparing pairs", 300, 1000)
    assert capsys.readouterr().out == (
        "audit: reading pictures …\naudit: comparing pairs … (about 30 s left)\n"
    )


@pytest.mark.parametrize(
    ("tested", "again", "exact", "refused"),
    [
        (200, 10, False, False),
        (200, 11, False, True),
        (400, 20, False, False),
        (400, 21, False, True),
        (200, 3, True, False),
        (60, 10, False, False),
    ],
)
def test_a_few_parts_photographed_again_are_set_aside(
    tested: int, again: int, exact: bool, refused: bool
) -> None:
    """At most 10 test pictures or 5 % of them are left out of all figures; more refuse."""
    sizes: dict[tuple[SetName, str], int] = {
        ("train", "ok"): 20,
        ("train", "dent"): 20,
        ("test", "ok"): tested - 20,
        ("test", "dent"): 20,
    }
    samples = [
        Sample(Path(name), name, label, name, set_name)
        for (set_name, label), count in sizes.items()
        for name in (f"{set_name}/{label}/{number}.png" for number in range(count))
    ]
    data = Dataset(Path("plates"), ("ok", "dent"), "ok", tuple(samples))
    pairs = [(f"train/ok/{n}.png", f"test/ok/{n}.png") for n in range(again)]
    leaks = [Duplicate(*pair, "re-exposed", 0.97, exact, True, False, True) for pair in pairs]
    audit = Audit("plates", leaks=leaks)
    if refused:
        with pytest.raises(RefusedError, match="--allow-leaks"):
            excluded_test_pictures(data, audit)
        return
    set_aside = excluded_test_pictures(data, audit)
    assert set_aside == tuple(sorted(test for _, test in pairs))
    assert len(data.without(set_aside).of("test")) == tested - again
    assert data.without(set_aside).of("train") == data.of("train")


def test_a_mistake_gives_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is no data set gives exit code 2 and one sentence."""
    assert main(["audit", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["audit"]) == 2

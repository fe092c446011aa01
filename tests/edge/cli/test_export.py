"""`edge-inspect export`: whole or not at all, into an empty folder, readable by edge-train."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.__main__ import main
from edge.cli.export import check_target, look_alike, write_export
from edge.core.errors import EdgeInspectError
from edge.plant import ExportChoice, LabelRequest, plan_export
from edge.storage import EvidenceReader
from tests.support.records import RecordsOfABox
from tests.support.waiting import wait_until
from trainer.data.dataset import load_dataset

ROOT = Path(__file__).parents[3]

CONFIG = """\
station: line1
model: {path: m.tflite, labels: [ok, scratch]}
decision: {reject_at: 0.7, review_from: 0.3}
cameras: [{id: top, source: "test:"}]
outbox: {path: outbox.db}
archive: {enabled: true, path: archive}
"""


@pytest.fixture
def box(tmp_path: Path) -> RecordsOfABox:
    """A box with ten labelled parts of three frames each and two failed ones nobody labelled."""
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    made = RecordsOfABox(tmp_path)
    service = made.service()
    for at in range(12):
        name = made.judge("fail", ago_s=1000.0 - at, part=f"P-{at}", label="scratch")
        made.keep(name, frames=3)
        if at < 10:
            label = "ok" if at % 2 else "scratch"
            service.label(LabelRequest(ids=(name,), label=label, by="kim", note=None))
    return made


def run(box: RecordsOfABox, *options: str) -> int:
    return main(["export", "-c", str(box.folder / "config.yaml"), *options])


def test_a_data_set_that_edge_train_reads(
    box: RecordsOfABox, capsys: pytest.CaptureFixture[str]
) -> None:
    target = box.folder / "week48"
    assert run(box, "-o", str(target), "--labelled") == 0
    assert "20 pictures of 10 verdicts in 10 groups (15 ok, 5 scratch)" in capsys.readouterr().out
    data = load_dataset(target)
    sides: dict[str, set[str]] = {}
    for sample in data.samples:
        sides.setdefault(sample.group, set()).add(sample.set_name)
    assert len(sides) == 10
    assert all(len(side) == 1 for side in sides.values())


def test_exported_labels_are_marked(box: RecordsOfABox) -> None:
    names = [label.id for label in box.labels.all()]
    assert all(box.labels.protected(name) for name in names)
    assert run(box, "-o", str(box.folder / "out"), "--labelled") == 0
    assert not any(box.labels.protected(name) for name in names)


def test_without_labelled_the_models_labels_are_said(
    box: RecordsOfABox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(box, "-o", str(box.folder / "out"), "--verdict", "fail") == 0
    assert "labelled by the model: 2 verdicts; a person must check" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ("dataset", {"manifest.csv", "ok", "scratch"}),
        ("csv", {"pictures.csv", "pictures"}),
        ("label-studio", {"tasks.json", "labels.xml", "pictures"}),
    ],
)
def test_formats(box: RecordsOfABox, form: str, files: set[str]) -> None:
    target = box.folder / "out"
    assert run(box, "-o", str(target), "--format", form) == 0
    assert {path.name for path in target.iterdir()} == files
    assert len(list(target.rglob("*.png"))) == 22


def test_a_folder_that_is_not_empty_is_refused(
    box: RecordsOfABox, capsys: pytest.CaptureFixture[str]
) -> None:
    target = box.folder / "out"
    target.mkdir()
    assert run(box, "-o", str(target)) == 0
    before = sorted(path.name for path in target.rglob("*"))
    assert run(box, "-o", str(target)) == 2
    assert "is there already and not empty; give a new folder" in capsys.readouterr().err
    assert sorted(path.name for path in target.rglob("*")) == before


def test_nothing_to_export(box: RecordsOfABox, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(box, "-o", str(box.folder / "out"), "--verdict", "pass") == 1
    assert "nothing to export" in capsys.readouterr().err
    assert not (box.folder / "out").exists()


def test_since_in_the_wrong_form(box: RecordsOfABox, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(box, "-o", str(box.folder / "out"), "--since", "last week") == 2
    assert "--since: must be a time such as" in capsys.readouterr().err


def test_since_leaves_out_older_pictures(box: RecordsOfABox) -> None:
    target = box.folder / "out"
    assert run(box, "-o", str(target), "--since", "2026-11-30T11:43:30Z") == 0
    assert len(list(target.rglob("*.png"))) < 22


def test_an_export_that_fails_leaves_nothing(
    box: RecordsOfABox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last write, of manifest.csv, meets a full disk."""
    target = box.folder / "out"
    names = [label.id for label in box.labels.all()]

    def full(*_: object) -> dict[str, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.cli.export.text_files", full)
    assert run(box, "-o", str(target)) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not target.exists()
    assert not list(box.folder.glob(".out*"))
    assert all(box.labels.protected(name) for name in names)


def test_the_rest_of_a_killed_export_goes(box: RecordsOfABox) -> None:
    rest = box.folder / ".out.unfinished" / "ok"
    rest.mkdir(parents=True)
    (rest / "half.png").write_bytes(b"x")
    assert run(box, "-o", str(box.folder / "out")) == 0
    assert not list((box.folder / "out").rglob("half.png"))
    assert not list(box.folder.glob(".out*"))


def test_pictures_that_the_budget_removes_meanwhile(box: RecordsOfABox) -> None:
    records = list(EvidenceReader(box.archive.path).records())
    said = {label.id: label for label in box.labels.all()}
    plan = plan_export(records, said, ExportChoice(labelled=True), "ok", look_alike)
    gone = plan.pictures[0]
    gone.record.path(gone.number).unlink()
    written = write_export(box.folder / "out", plan, "dataset")
    assert gone not in written
    assert gone.name not in (box.folder / "out" / "manifest.csv").read_text(encoding="utf-8")


def test_a_file_as_target(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(EdgeInspectError, match="is there already"):
        check_target(tmp_path / "file")


def test_pictures_look_alike_up_to_noise(box: RecordsOfABox) -> None:
    """Noise and light of 2 grey levels are no other part; a spot of a quarter of the picture is."""
    rng = np.random.default_rng(0)
    first, second, third = list(EvidenceReader(box.archive.path).records())[:3]
    scene = rng.integers(60, 200, (480, 640)).astype(np.uint8)
    scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), 20), np.uint8)
    noise = 2 + rng.normal(0, 6, scene.shape)
    noisy = np.clip(scene + noise, 0, 255).astype(np.uint8)
    other = scene.copy()
    other[:240, :320] = 255 - other[:240, :320]
    other[:240, :320] //= 2
    for record, pixels in ((first, scene), (second, noisy), (third, other)):
        assert cv2.imwrite(str(record.path()), pixels)
    assert look_alike(first, second)
    assert not look_alike(first, third)
    assert not look_alike(first, replace(third, folder=box.folder / "gone"))


@pytest.mark.slow
@pytest.mark.parametrize("files", [1, 6, 15])
def test_a_kill_leaves_no_half_data_set(box: RecordsOfABox, files: int) -> None:
    """Killed when so many files are written; the target is then not there, or whole."""
    target, half = box.folder / "out", box.folder / ".out.unfinished"
    words = [sys.executable, "-m", "edge", "export", "-o", "out", "--labelled"]
    process = subprocess.Popen(words, cwd=box.folder, env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_until(
        lambda: len(list(half.rglob("*.png"))) >= files or process.poll() is not None,
        "the export writes",
        poll_s=0.001,
    )
    process.kill()
    process.wait()
    names = [label.id for label in box.labels.all()]
    if target.exists():
        assert len(load_dataset(target).samples) == 20
    else:
        assert all(box.labels.protected(name) for name in names)
        assert run(box, "-o", str(target), "--labelled") == 0
    assert not half.exists()

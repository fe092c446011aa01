"""`edge-inspect models verify --pictures`: what a candidate would change of the kept pictures."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.__main__ import main
from edge.cli.model_sheet import judge_own_pictures
from edge.config import load_config
from edge.core.verdict import Verdict
from edge.models import open_store
from edge.storage import Labels
from edge.storage.labels import Label
from tests.conftest import WriteConfig
from tests.support.frames import solid
from tests.support.kept_pictures import judge_and_keep
from tests.support.model_versions import write_version
from tests.support.runtimes import installed_runtimes

pytestmark = pytest.mark.inference
LENIENT: dict[str, Any] = {"reject_at": 0.95, "review_from": 0.7}
REDS = [0, 40, 90, 110, 130, 145, 170, 200, 230, 255]  # 3 pass, 2 review, 5 fail


class Box:
    """A box with redness@1 active, redness@2 installed, and ten kept pictures."""

    def __init__(self, write_config: WriteConfig, folder: Path, **sections: Any) -> None:
        self.folder = folder
        archive = {"enabled": True, "path": str(folder / "kept"), "min_free_mb": 0}
        self.config = write_config(
            model={"path": "redness"},
            models={"path": str(folder / "versions")},
            archive={**archive, "keep": ["pass", "review", "fail", "error"]},
            **sections,
        )
        self.run("install", str(write_version(folder / "1.tflite", "1")))
        self.run("activate", "redness@1")
        self.run("install", str(write_version(folder / "2.tflite", "2", **LENIENT)))

    def run(self, *arguments: str, code: int = 0) -> None:
        """`edge-inspect models …`."""
        assert main(["models", *arguments, "-c", str(self.config)]) == code

    def keep(self) -> list[Verdict]:
        """Judges and keeps the ten pictures."""
        return judge_and_keep(self.config, [solid(red) for red in REDS])

    def label(self, verdict: Verdict, label: str) -> None:
        """A person says what the part is."""
        Labels.beside(self.folder / "state" / "outbox.db").add(
            [Label(verdict.id, label, "2026-12-01T00:00:00Z", "kim")]
        )


@pytest.fixture(autouse=True)
def niced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The calls that change a priority; the test's own process keeps its priority."""
    if not installed_runtimes():
        pytest.skip("no TFLite runtime is installed; run: pip install ai-edge-litert")
    calls: list[tuple[int, ...]] = []
    monkeypatch.setattr(os, "setpriority", lambda *call: calls.append(call))
    monkeypatch.setattr(
        os, "sched_setscheduler", lambda pid, policy, _: calls.append((pid, policy))
    )
    return calls


@pytest.fixture
def box(write_config: WriteConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A box with its pictures judged by redness@1."""
    monkeypatch.chdir(tmp_path)
    made = Box(write_config, tmp_path)
    (tmp_path / "state").mkdir()
    return made


@pytest.fixture
def sheet(box: Box, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """`sheet("--pictures", "3")`: the JSON of redness@2."""

    def run(*options: str) -> dict[str, Any]:
        capsys.readouterr()
        box.run("verify", "redness@2", "--json", *options)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert found["schema"] == "edge-inspect/model-sheet/1"
        return found

    return run


def test_what_would_change(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    """By direction; what would pass is to be looked at."""
    box.keep()
    capsys.readouterr()
    box.run("verify", "redness@2", "--pictures", "--contact-sheet", "sheet.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("of the last 10 parts ")
    assert "  2 review → pass (look)" in lines
    assert any(line.startswith("  ") and line.endswith(" fail → review") for line in lines)
    assert "no person has labelled any of them: edge-inspect label" in lines
    assert any(line.startswith("contact sheet: sheet.png (all ") for line in lines)
    assert cv2.imread("sheet.png") is not None


def test_labels_are_the_truth(
    box: Box, sheet: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Known defects that the candidate would pass, and known good parts that it would fail, beside
    those of the active version."""
    verdicts = box.keep()
    box.label(verdicts[3], "red")  # review, then pass
    box.label(verdicts[4], "ok")  # review, then pass: rightly
    box.label(verdicts[9], "ok")  # fail by both
    box.label(verdicts[1], "red")  # pass by both
    found = sheet("--pictures")
    assert found["known_defects"] == {"pictures": 2, "pass_now": 1, "pass": 2}
    assert found["known_good"]["fail_now"] == 1
    assert {one["truth"] for one in found["pictures"]} >= {"good", "defective"}
    box.run("verify", "redness@2", "--pictures")
    out = capsys.readouterr().out
    assert "  2 review → pass (people called 1 defective and 1 good)" in out
    assert "of 2 known defects redness@2 would pass 2 (redness@1: 1)" in out


def test_the_newest_pictures_count(
    box: Box, sheet: Callable[..., dict[str, Any]], niced: list[tuple[int, ...]]
) -> None:
    """N of them, at the lowest priority; without a number 2,000."""
    verdicts = box.keep()
    found = sheet("--pictures", "3")
    assert found["judged"] == 3
    newest = sorted(one.id for one in verdicts)[-3:]  # in one millisecond ids have no order
    assert {one["id"] for one in found["pictures"]} <= set(newest)
    assert niced == [(os.PRIO_PROCESS, threading.get_native_id(), 19), (0, os.SCHED_IDLE)]
    assert sheet("--pictures")["judged"] == 10


def test_pictures_of_an_older_version_are_judged_again_by_the_active_one(
    box: Box, sheet: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The comparison is with what would judge without the candidate, not with the past."""
    box.keep()
    box.run("activate", "redness@2")
    box.run("install", str(write_version(box.folder / "3.tflite", "3", **LENIENT)))
    capsys.readouterr()
    box.run("verify", "redness@3", "--pictures", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["compared_with"], found["judged"], found["changes"]) == ("redness@2", 10, [])
    found = sheet("--pictures")  # the active version itself: against the record
    assert found["compared_with"] == "the recorded verdicts"
    assert found["changes"]


def test_no_picture_and_a_wrong_number(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 without any picture; a number below 1 is refused in one sentence."""
    box.run("verify", "redness@2", "--pictures", code=1)
    assert "of the last 0 parts 0 would change" in capsys.readouterr().out
    box.run("verify", "redness@2", "--pictures", "0", code=2)
    assert "--pictures: must be 1 or more (got 0)" in capsys.readouterr().err
    box.keep()
    box.run("verify", "redness@2", "--contact-sheet", "none/x.png", code=2)
    assert "none/x.png: cannot be written (No such file" in capsys.readouterr().err


def test_pictures_of_other_recipes_do_not_count(
    write_config: WriteConfig, tmp_path: Path, redness_model: Path
) -> None:
    """Recipe 1 has the model of that name, recipe 2 a file. Pictures without a recipe are of the
    time before there were any, and count for the common part."""
    box = Box(
        write_config,
        tmp_path,
        recipes=[
            {"number": 1, "name": "caps", "decision": {"reject_at": 0.6, "review_from": 0.4}},
            {"number": 2, "name": "nuts", "model": str(redness_model)},
        ],
    )
    ids = [one.id for one in box.keep()]
    for record in (tmp_path / "kept").rglob("*.json"):
        body = json.loads(record.read_text())
        place = ids.index(body["result"]["id"])
        if place < 6:
            body["result"]["recipe"] = {"number": 1 + place % 2, "name": "x"}
            record.write_text(json.dumps(body))
    config = load_config(box.config)
    version = open_store(config).find("redness@2")
    found, _ = judge_own_pictures(config, version, 100)
    assert {one.comparison.id for one in found.pictures} == {*ids[6:], *ids[:6:2]}
    of_caps = {one.comparison.id: one for one in found.pictures}[ids[4]]
    assert of_caps.comparison.after.verdict == "review"  # by the thresholds of the recipe

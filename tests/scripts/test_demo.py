"""`make demo`: the text at its end, and the whole of it on a few drawn pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import demo_summary
from tests.trainer.conftest import draw_picture
from trainer.data.elpv import COMPLETE_MARK, MARK_TEXT

REPOSITORY = Path(__file__).parents[2]
RATE = {"k": 6, "n": 120, "interval": [0.0001, 0.346], "independent": 11.7}
LEARNED = {
    "learned": True,
    "n_ok": 213,
    "n_defect": 120,
    "n_groups": 5,
    "auroc": 0.945,
    "auroc_interval": [0.76, 0.99],
    "escapes": RATE,
    "false_rejects": RATE | {"k": 0, "n": 213},
    "reviews": RATE,
}
UNLEARNED = {"learned": False, "auroc": 0.7, "auroc_interval": [0.4, 0.9]}


def write_run(folder: Path, figures: dict[str, Any], scores: list[float]) -> Path:
    """A run with two good and two defective validation pictures of these scores."""
    folder.mkdir()
    rows = [
        {"part": "validation", "score": score, "label": label}
        for score, label in zip(scores, ("ok", "ok", "defect", "defect"))
    ]
    rows.append({"part": "test", "score": 1.0, "label": "ok"})
    (folder / "scores.json").write_text(json.dumps(rows))
    (folder / "evaluation.json").write_text(json.dumps({"test": figures}))
    return folder


def test_the_better_network_is_chosen_on_validation(tmp_path: Path) -> None:
    """Scores of validation decide, not those of test; a network that has not learned loses."""
    good = write_run(tmp_path / "good", LEARNED, [0.1, 0.2, 0.8, 0.9])
    poor = write_run(tmp_path / "poor", LEARNED | {"auroc": 0.99}, [0.1, 0.8, 0.2, 0.9])
    lucky = write_run(tmp_path / "lucky", UNLEARNED, [0.1, 0.2, 0.8, 0.9])
    assert demo_summary.validation_auroc(good) == 1
    assert demo_summary.better({"poor": poor, "good": good}) == "good"
    assert demo_summary.better({"lucky": lucky, "poor": poor}) == "poor"


def test_networks_stand_side_by_side() -> None:
    """Each rate has its interval; a network that has not learned has no rates."""
    lines = demo_summary.side_by_side({"plain CNN": UNLEARNED, "pretrained": LEARNED}).splitlines()
    assert lines[1].split() == ["AUROC", "0.70", "(0.40–0.90)", "0.94", "(0.76–0.99)"]
    assert lines[2].endswith("not learned              6 of 120 (0–35 %)")
    assert lines[3].endswith("0 of 213 (0–35 %)")


def test_the_summary_says_why_intervals_are_wide() -> None:
    """It names the groups, the independent pictures and the number that would show the limit."""
    text = " ".join(demo_summary.why_wide(LEARNED, 0.05).split())
    assert "333 test cells come from 5 modules" in text
    assert "120 defective cells count as 12 independent" in text
    assert "needs 59 independent defective cells" in text


def test_times_have_a_sum() -> None:
    """Each step has its seconds; the last line is the sum."""
    lines = demo_summary.times_table({"pictures": 1.2, "daemon": 8.4}).splitlines()
    assert [line.split()[-2] for line in lines] == ["1", "8", "10"]


@pytest.mark.train
@pytest.mark.slow
def test_the_whole_demo_runs_on_drawn_pictures(tmp_path: Path) -> None:
    """Audit, two trainings, conversion and daemon: each picture gets one verdict.

    A second run uses what is there.
    """
    pytest.importorskip("tensorflow")
    data = tmp_path / "demo/data"
    number = 0
    for part, count in (("train", 24), ("valid", 12), ("test", 16)):
        for label in ("ok", "defect"):
            for _ in range(count):
                number += 1
                path = data / part / label / f"{number:03}.png"
                draw_picture(path, number, defective=label != "ok")
    (data / COMPLETE_MARK).write_text(f"{MARK_TEXT}, mono cells only\n")
    first = run_demo(tmp_path)
    assert "plain CNN" in first
    assert "32 pictures were judged; each verdict arrived once" in first
    trained = (tmp_path / "demo/run/model.keras").stat().st_mtime_ns
    assert (tmp_path / "demo/contact-sheet.png").stat().st_size > 10_000
    assert len((tmp_path / "demo/results.jsonl").read_text().splitlines()) == 32
    assert "is there already, complete" in run_demo(tmp_path)
    assert (tmp_path / "demo/run/model.keras").stat().st_mtime_ns == trained


def run_demo(folder: Path) -> str:
    """What the demo prints in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout

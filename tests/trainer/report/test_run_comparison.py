"""`edge-train compare`: only runs with the same test pictures are compared."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge.core.errors import EdgeInspectError
from edge.inspection.decision import Thresholds
from edge.inspection.model_file import OutputSpec
from edge.inspection.preprocessing import InputSpec
from trainer.cli.main import main
from trainer.evaluation.finalize import SCORES, ScoredPicture
from trainer.networks.trained_model import MEMBER, TrainedSpec
from trainer.report.run_comparison import compare_runs
from trainer.training.run_folder import MODEL

pytestmark = pytest.mark.usefixtures("require_train")


def rows(gain: float, *, prefix: str = "", hashes: bool = True) -> list[ScoredPicture]:
    """60 test pictures of 30 parts; a larger gain separates them better."""
    rng = np.random.default_rng(4)
    found = []
    for at in range(60):
        bad = at % 3 == 0
        odds = rng.normal() + gain * (1 if bad else -1)
        found.append(
            ScoredPicture(
                file=f"test/{'scratch' if bad else 'ok'}/{prefix}{at:03}.png",
                label="scratch" if bad else "ok",
                group=f"{prefix}{at // 2}",
                set_name="test",
                score=float(1 / (1 + np.exp(-odds))),
                sha256=f"{at:064x}" if hashes else "",
            )
        )
    return found


def write_run(run: Path, pictures: Sequence[ScoredPicture]) -> Path:
    """The files of a run that a comparison reads."""
    run.mkdir()
    spec = TrainedSpec(
        name="tiles",
        version=run.name,
        labels=("ok", "scratch"),
        input=InputSpec(width=24, height=24),
        output=OutputSpec(kind="probabilities"),
        thresholds=Thresholds(reject_at=0.6, review_from=0.4),
        training={"network": "baseline"},
    )
    with zipfile.ZipFile(run / MODEL, "w") as archive:
        archive.writestr(MEMBER, json.dumps(spec.to_dict()))
    (run / SCORES).write_text(json.dumps([row.as_json() for row in pictures]), encoding="utf-8")
    return run


def test_the_figures_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = write_run(tmp_path / "a", rows(0.3)), write_run(tmp_path / "b", rows(3.0))
    target = tmp_path / "out.json"
    assert main(["compare", str(first), str(second), "--json", str(target)]) == 0
    text = capsys.readouterr().out
    found = json.loads(target.read_text(encoding="utf-8"))
    assert found["schema"] == "edge-inspect/run-comparison/1"
    assert found["test"] == {"pictures": 60, "defective": 20, "groups": 30}
    area = found["figures"]["auroc"]
    assert area["difference"] == pytest.approx(area["b"] - area["a"])
    assert area["interval"][0] < area["difference"] < area["interval"][1]
    assert area["judgement"] == "surely better"
    assert f"{area['a']:.3f}" in text
    assert "surely better" in text
    assert "60 pictures, 20 defective, of 30 groups, the same in both" in text


def test_pictures_are_the_same_by_content_under_other_names(tmp_path: Path) -> None:
    """A merged data set has other names for the same pictures."""
    first = write_run(tmp_path / "a", rows(0.5))
    second = write_run(tmp_path / "b", rows(1.5, prefix="old/")[::-1])
    assert compare_runs(first, second).figures[0].difference > 0


def test_runs_of_earlier_versions_are_matched_by_name(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", rows(0.5, hashes=False))
    second = write_run(tmp_path / "b", rows(1.5))
    assert compare_runs(first, second).figures[0].difference > 0


def test_other_test_pictures_are_refused_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = write_run(tmp_path / "a", rows(0.5)), write_run(tmp_path / "b", rows(1.5)[4:])
    assert main(["compare", str(first), str(second)]) == 1
    err = capsys.readouterr().err
    assert "4 test pictures only in" in err
    assert "test/scratch/000.png, test/scratch/003.png" in err
    assert "--test-from" in err


def test_another_label_is_refused_and_named(tmp_path: Path) -> None:
    changed = rows(1.5)
    changed[1] = ScoredPicture(
        changed[1].file, "scratch", "0", "test", changed[1].score, changed[1].sha256
    )
    with pytest.raises(EdgeInspectError, match=r"1 have another label: .*001.png \(ok, scratch\)"):
        compare_runs(write_run(tmp_path / "a", rows(0.5)), write_run(tmp_path / "b", changed))


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a", rows(0.5))
    assert main(["compare", str(run), str(tmp_path / "none")]) == 2
    assert "none/model.keras" in capsys.readouterr().err

"""`edge-inspect rejudge`: what another model or other thresholds would change."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.__main__ import main
from edge.inspection import Inspector
from tests.conftest import WriteConfig
from tests.support.frames import solid
from tests.support.kept_pictures import judge_and_keep
from tests.support.runtimes import installed_runtimes

pytestmark = pytest.mark.inference
REDS = [0, 40, 90, 110, 130, 145, 170, 200, 230, 255]  # 3 pass, 2 review, 5 fail


@pytest.fixture(autouse=True)
def _a_runtime() -> None:
    if not installed_runtimes():
        pytest.skip("no TFLite runtime is installed; run: pip install ai-edge-litert")


@pytest.fixture
def config(tmp_path: Path, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config.yaml whose archive holds ten pictures, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    archive = {"enabled": True, "path": str(tmp_path / "kept"), "min_free_mb": 0}
    path = write_config(archive={**archive, "keep": ["pass", "review", "fail", "error"]})
    judge_and_keep(path, [solid(red) for red in REDS])
    return path


def body(config: Path, *options: str) -> dict[str, Any]:
    """The JSON of a run that ends with exit code 0."""
    target = config.parent / "out.json"
    assert main(["rejudge", "-c", str(config), "--json", str(target), *options]) == 0
    found: dict[str, Any] = json.loads(target.read_text())
    assert found["schema"] == "edge-inspect/rejudge/1"
    return found


def test_the_same_model_changes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All verdicts and all scores are the same; there is no contact sheet."""
    found = body(config)
    assert (found["judged"], found["flips"], found["same_score"]) == (10, 0, 10)
    out = capsys.readouterr().out
    assert "10 the same, 0 flip; 10 with the same score to the last bit" in out
    assert not Path("rejudge.png").exists()


def test_thresholds_alone_need_no_inference(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded scores are decided again: flips by verdict and label, counts per day, and a
    contact sheet of the pictures that flip."""
    monkeypatch.setattr(Inspector, "prepare", lambda *_: pytest.fail("the model was run"))
    monkeypatch.setattr(Inspector, "check_golden", lambda _: 0)
    found = body(config, "--reject-at", "0.85")
    out = capsys.readouterr().out
    assert found["flips"] == 3
    assert found["table"] == [{"before": "fail red", "after": "review red", "pictures": 3}]
    ((day, counts),) = found["days"].items()
    assert counts["before"] == {"pass": 3, "review": 2, "fail": 5}
    assert counts["after"] == {"pass": 3, "review": 5, "fail": 2}
    assert "fail red                 review red               3" in out
    assert f"{day}          3 → 3         2 → 5         5 → 2       3" in out
    assert "contact sheet: rejudge.png (all 3 that flip)" in out
    sheet = cv2.imread("rejudge.png")
    assert sheet is not None
    assert sheet.shape[1] > 2 * 180


def test_a_threshold_that_is_not_named_gives_way(config: Path) -> None:
    """--reject-at below review_from moves review_from too."""
    found = body(config, "--reject-at", "0.3")
    assert found["thresholds"] == {"reject_at": 0.3, "review_from": 0.3}
    found = body(config, "--review-from", "0.7")
    assert found["thresholds"] == {"reject_at": 0.7, "review_from": 0.7}


def test_another_model(config: Path, plain_model: Path, tmp_path: Path) -> None:
    """Every picture is judged by that file; it may be any model that config.yaml could name."""
    other = Path(shutil.copy(plain_model, tmp_path / "other.tflite"))
    text = config.read_text()
    config.write_text(
        text.replace("model:\n", "model:\n  labels: [ok, red]\n")
        + "decision: {reject_at: 0.2, review_from: 0.2}\n"
    )
    found = body(config, "--model", str(other))
    assert found["model"]["name"] == "other"
    assert found["judged"] == 10
    assert found["flips"] > 0


def test_since(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only pictures from then on; a wrong form is one sentence."""
    assert main(["rejudge", "-c", str(config), "--since", "2100-01-01"]) == 1
    assert "0 pictures" in capsys.readouterr().out
    assert body(config, "--since", "2020-01-01")["judged"] == 10
    assert main(["rejudge", "-c", str(config), "--since", "last week"]) == 2
    assert "--since: must be a time such as" in capsys.readouterr().err


def test_a_folder_of_other_pictures(config: Path, tmp_path: Path) -> None:
    """What the box would say now is compared with what the options would say."""
    for red in REDS:
        folder = tmp_path / "others" / ("ok" if red < 100 else "red")
        folder.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / f"{red}.png"), solid(red))
    (tmp_path / "others" / "broken.jpg").write_bytes(b"text")
    found = body(config, str(tmp_path / "others"), "--reject-at", "0.85")
    assert (found["judged"], found["flips"]) == (10, 3)
    assert {one["id"] for one in found["pictures"]} == {None}
    ((why, count),) = found["not_judged"].items()
    assert "broken.jpg" in why
    assert count == 1


def test_pictures_of_earlier_versions_are_judged(config: Path, tmp_path: Path) -> None:
    """Their name says the verdict; nobody recorded a score."""
    for path in (tmp_path / "kept").glob("*/*.json"):
        path.unlink()
    found = body(config, "--reject-at", "0.85")
    assert (found["judged"], found["flips"], found["same_score"]) == (10, 3, 0)


def test_a_damaged_picture_costs_only_itself(config: Path, tmp_path: Path) -> None:
    """It is counted with its reason."""
    first = min((tmp_path / "kept").glob("*/*.png"))
    first.write_bytes(b"\x89PNG")
    found = body(config)
    assert found["judged"] == 9
    assert [why for why in found["not_judged"] if str(first) in why]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--reject-at", "1.5"], "--reject-at: must be 0 to 1 (got 1.5)"),
        (
            ["--reject-at", "0.2", "--review-from", "0.5"],
            "--review-from 0.5 is above --reject-at 0.2; review lies between the two",
        ),
        (["none"], "none: there is no such folder"),
        (["--model", "none.tflite"], "none.tflite: the model file cannot be read"),
        (["--json", "none/x.json"], "none/x.json: cannot be written (No such file or directory)"),
        (["--reject-at", "0.85", "--sheet", "none/x.png"], "none/x.png: cannot be written"),
    ],
)
def test_wrong_options(
    config: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and exit code 2."""
    assert main(["rejudge", "-c", str(config), *options]) == 2
    assert words in capsys.readouterr().err

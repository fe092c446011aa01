"""edge-train for its users: exit codes, messages and the files of a run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.conftest import Draw, draw_picture
from trainer.cli.main import main
from trainer.networks import read_spec

HELP_WITHOUT_HEAVY_IMPORTS = """
import sys
from trainer.cli.main import main
codes = [main([*words, "--help"]) for words in ([], ["elpv"], ["evaluate"])]
assert codes == [0, 0, 0], codes
assert not {"tensorflow", "keras", "scipy", "rich"} & set(sys.modules)
"""


def test_help_is_light() -> None:
    """Every --help exits with 0 and imports nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-c", HELP_WITHOUT_HEAVY_IMPORTS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "edge-train evaluate MODEL DATASET" in done.stdout


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["data"],
        ["data", "-o", "run", "--epochs", "0"],
        ["data", "-o", "run", "--network", "huge"],
        ["data", "-o", "run", "--epochs", "3"],
        ["data", "-o", "run", "--network", "auto", "--frozen"],
        ["data", "-o", "run", "--seed", "-1"],
        ["data", "-o", "run", "--test-from", "data"],
        ["evaluate", "model.keras"],
        ["compare", "run"],
        ["elpv"],
    ],
)
def test_usage_errors_exit_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line gives exit code 2 and the usage."""
    assert main(argv) == 2
    assert "usage: edge-train" in capsys.readouterr().err


@pytest.mark.usefixtures("require_train")
def test_a_mistake_gives_one_sentence(
    tmp_path: Path, draw_dataset: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user's mistake gives exit code 2 and one sentence, no traceback."""
    data = str(draw_dataset(4))
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("x")
    (tmp_path / "bad.keras").write_text("x")
    (tmp_path / "model.onnx").write_text("x")
    for argv, says in [
        ([str(tmp_path / "nowhere"), "-o", str(tmp_path / "run")], "no such folder"),
        ([data, "-o", str(tmp_path / "file")], "cannot be written"),
        ([data, "-o", str(tmp_path / "file/run")], "cannot be written"),
        ([data, "-o", str(tmp_path / "full")], "is no folder of a run (it holds notes.txt)"),
        ([data, "-o", data + "/run"], "lies inside the data set"),
        (["evaluate", str(tmp_path / "bad.keras"), data], "not a whole .keras file"),
        (["evaluate", str(tmp_path / "none.keras"), data], "cannot be read"),
        (["evaluate", str(tmp_path / "none.tflite"), data], "cannot be read"),
        (["evaluate", str(tmp_path / "model.onnx"), data], "neither .keras nor .tflite"),
    ]:
        assert main(argv) == 2
        err = capsys.readouterr().err
        assert says in err
        assert "Traceback" not in err


def test_an_internal_error_exits_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unexpected exception gives exit code 70 and a traceback for the report."""

    def fail(args: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("trainer.cli.main.run_command", fail)
    assert main(["elpv", "-o", "x"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_missing_tensorflow_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TensorFlow the error names the command that installs it."""
    from edge.core.errors import MissingPartError
    from trainer.core.optional_imports import tensorflow

    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingPartError, match=r"pip install '\.\[train\]'"):
        tensorflow()


def flatten(document: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """The values of a JSON document by place: floats, and all other values."""
    others: dict[str, Any] = {}
    floats: dict[str, float] = {}

    def walk(value: Any, at: str) -> None:
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, one in items:
                walk(one, f"{at}/{key}")
        elif isinstance(value, float):
            floats[at] = value
        else:
            others[at] = value

    walk(document, "")
    return others, floats


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow", "require_train")
def test_a_run_is_complete_repeatable_and_replaced_atomically(
    tmp_path: Path,
    draw_dataset: Draw,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run writes model, figures and history, and `evaluate` repeats the figures.

    A later run that fails leaves the earlier one unchanged.
    """
    data, run = draw_dataset(12), tmp_path / "run"
    argv = [str(data), "-o", str(run), "--network", "baseline", "--epochs", "2"]
    argv += ["--name", "tiles", "--seed", "3"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "822,402 parameters" in out
    assert "escapes" in out
    assert sorted(path.name for path in run.iterdir()) == [
        "evaluation.json",
        "history.json",
        "model.keras",
        "preview.png",
        "report.html",
        "scores.json",
    ]
    assert len(json.loads((run / "history.json").read_text())) == 2
    written = json.loads((run / "evaluation.json").read_text())

    again = tmp_path / "again.json"
    assert main(["evaluate", str(run / "model.keras"), str(data), "--json", str(again)]) == 0
    (others, floats), expected = flatten(json.loads(again.read_text())), flatten(written)
    assert others == expected[0]
    assert floats == pytest.approx(expected[1], rel=1e-12)  # sums differ in the last bit
    assert capsys.readouterr().out.split("\n\n", 1)[1].strip() in out

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = (run / "model.keras").read_bytes()
    monkeypatch.setattr("keras.Sequential.save", full_disk)
    assert main(argv) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert (run / "model.keras").read_bytes() == before


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow", "require_train")
def test_two_data_sets_are_one_training_that_can_be_compared_and_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run names both sets, its test set is the first one's, and RUN/data converts."""
    old, new, run = tmp_path / "old", tmp_path / "new", tmp_path / "run"
    for number, folder in enumerate(
        ("old/train/ok", "old/train/dent", "old/test/ok", "old/test/dent", "new/ok", "new/dent")
    ):
        for at in range(12):
            path = tmp_path / folder / f"{at}.png"
            draw_picture(path, 100 * number + at, defective=folder.endswith("dent"))
    options = ["--network", "baseline", "--epochs", "1"]
    assert main([str(old), "-o", str(tmp_path / "alone"), *options]) in (0, 1)
    both = [str(old), str(new), "-o", str(run), "--test-from", str(old), *options]
    assert main(both) in (0, 1)
    out = capsys.readouterr().out
    assert f"48 of old: {old}" in out
    assert f"24 of new: {new}" in out
    spec = read_spec(run / "model.keras")
    assert spec is not None
    assert spec.name == "old"
    assert [one["name"] for one in spec.data["datasets"]] == ["old", "new"]
    assert spec.data["counts"]["test"] == {"ok": 12, "dent": 12}
    assert ">new</" in (run / "report.html").read_text(encoding="utf-8")
    assert main(["compare", str(tmp_path / "alone"), str(run)]) == 0
    assert "24 pictures, 12 defective" in capsys.readouterr().out
    assert main(["evaluate", str(run / "model.keras"), str(run / "data")]) in (0, 1)
    assert main(both) in (0, 1)  # again into the same folder


@pytest.mark.usefixtures("require_train")
def test_the_audit_of_two_data_sets_finds_a_part_on_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A test picture of the old set that the new set brings into training."""
    for number, folder in enumerate(("train/ok", "train/dent", "test/ok", "test/dent")):
        for at in range(6):
            path = tmp_path / "old" / folder / f"{at}.png"
            draw_picture(path, 100 * number + at, defective=folder.endswith("dent"))
    draw_picture(tmp_path / "new" / "dent" / "again.png", 303, defective=True)
    old, new, found = (str(tmp_path / name) for name in ("old", "new", "found.json"))
    assert main(["audit", old, new, "--test-from", old, "--json", found]) == 1
    leaks = json.loads(Path(found).read_text(encoding="utf-8"))["leaks"]
    assert {leaks[0]["file"], leaks[0]["twin"]} == {
        "test/dent/old/3.png",
        "train/dent/new/again.png",
    }
    assert main(["audit", old, new, "--suggest", "m.csv"]) == 2
    assert "--suggest writes the manifest of one data set" in capsys.readouterr().err

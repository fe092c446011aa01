"""edge-convert from the command line: output, refusals and exit codes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.cli.main import main
from converter.convert import Conversion
from converter.packaging import write_atomically
from converter.selection import scheme_selection as selection_module
from converter.selection.quality_gate import GateLimits
from converter.selection.scheme_trial import SchemeTrial
from edge.core.errors import EdgeInspectError
from edge.inspection.decision import Thresholds
from edge.inspection.model_file import InspectionSpec, OutputSpec, pack_model_file
from edge.inspection.preprocessing import InputSpec

Captured = pytest.CaptureFixture[str]


def _run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def _sentence(capsys: Captured) -> str:
    """The one line on stderr."""
    message = capsys.readouterr().err.strip()
    assert "Traceback" not in message
    assert len(message.splitlines()) == 1, message
    return message


def _plain_model(path: Path, spec: InspectionSpec | None) -> Path:
    tflite = b"\x1c\0\0\0TFL3" + bytes(40)
    path.write_bytes(tflite if spec is None else pack_model_file(tflite, ("ok", "dent"), spec, {}))
    return path


def test_show_reads_a_file_without_figures(tmp_path: Path, capsys: Captured) -> None:
    """`show` reads a file with empty dictionaries from another tool."""
    spec = InspectionSpec(
        schema_="edge-inspect/model/1",
        name="cap",
        version="7",
        input=InputSpec(width=64, height=48),
        output=OutputSpec(kind="logits", temperature=1.5),
        thresholds=Thresholds(reject_at=0.75, review_from=0.25, chosen="manually"),
    )
    assert _run("show", _plain_model(tmp_path / "cap.tflite", spec)) == 0
    shown = capsys.readouterr().out
    for words in ("cap", "7", "ok, dent", "64×48", "0.7500", "0.2500", "manually", "1.5"):
        assert words in shown


def test_show_of_a_plain_tflite(tmp_path: Path, capsys: Captured) -> None:
    """`show` names a plain .tflite as such."""
    assert _run("show", _plain_model(tmp_path / "cap.tflite", None)) == 0
    assert "plain .tflite" in capsys.readouterr().out


def test_show_needs_no_tensorflow(tmp_path: Path) -> None:
    """`show` works without TensorFlow, as on a box."""
    path = _plain_model(tmp_path / "cap.tflite", None)
    code = (
        "import sys; from converter.cli.main import main; "
        f"assert main(['show', {str(path)!r}]) == 0; "
        "assert not {'tensorflow', 'keras', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_show_of_no_model(content: bytes | None, tmp_path: Path, capsys: Captured) -> None:
    """A file that is no model is named, with exit code 2."""
    path = tmp_path / "cap.tflite"
    if content is not None:
        path.write_bytes(content)
    assert _run("show", path) == 2
    assert "cap.tflite" in _sentence(capsys)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("model.onnx", "ends in .tflite"),
        ("nowhere/model.tflite", "no such folder"),
        ("folder.tflite", "is a folder"),
        ("locked/model.tflite", "cannot be written to"),
    ],
)
def test_a_bad_output_is_refused_before_any_work(
    output: str, words: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output path is checked before the conversion and before TensorFlow is imported."""
    (tmp_path / "folder.tflite").mkdir()
    (tmp_path / "locked").mkdir()
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).name != "locked" and access(path, mode)
    )
    assert _run("no.keras", "--data", tmp_path, "-o", tmp_path / output) == 2
    assert words in _sentence(capsys)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--max-flips", "lots", "'lots' must be a number from 0 to 100"),
        ("--max-flips", "nan", "must be a number"),
        ("--calibration", "0", "must be a number from 1"),
        ("--labels", "ok", "two or more different names"),
        ("--scaling", "guess", "invalid choice"),
        ("--name", " ", "1 to 200 characters"),
    ],
)
def test_bad_options_are_usage_errors(
    option: str, value: str, words: str, capsys: Captured
) -> None:
    """A bad option gives exit code 2 and a sentence with the value."""
    assert _run("m.keras", "--data", "d", "-o", "m.tflite", option, value) == 2
    assert words in capsys.readouterr().err


@pytest.mark.train
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.keras", None, "cannot be read"),
        ("text.keras", b"no zip at all", "not a whole .keras file"),
        ("model.h5", b"\x89HDF", "not an HDF5 file"),
    ],
)
def test_a_bad_model_is_named(
    name: str, content: bytes | None, words: str, tmp_path: Path, capsys: Captured
) -> None:
    """A file that is no Keras model gives one sentence and exit code 2."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert _run(tmp_path / name, "--data", tmp_path, "-o", tmp_path / "m.tflite") == 2
    message = _sentence(capsys)
    assert name in message
    assert words in message


@pytest.mark.train
def test_a_truncated_model_is_named(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """A truncated .keras file is refused with its name."""
    half = tmp_path / "half.keras"
    half.write_bytes(trained.read_bytes()[: trained.stat().st_size // 2])
    assert _run(half, "--data", data, "-o", tmp_path / "m.tflite") == 2
    assert "half.keras: not a whole .keras file" in _sentence(capsys)


@pytest.mark.train
def test_data_sets_that_do_not_fit(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """A data set that is missing, has other classes or no test set is refused."""
    output = tmp_path / "m.tflite"
    assert _run(trained, "--data", tmp_path / "none", "-o", output) == 2
    assert "none: no such folder" in _sentence(capsys)

    other = tmp_path / "other"
    other.mkdir()
    (other / "ok").symlink_to(data / "ok")
    (other / "scratch").symlink_to(data / "rust")
    assert _run(trained, "--data", other, "-o", output) == 2
    message = _sentence(capsys)
    assert "ok, scratch" in message
    assert "ok, rust" in message

    untested = tmp_path / "untested"
    (untested / "train").mkdir(parents=True)
    (untested / "train" / "ok").symlink_to(data / "ok")
    (untested / "train" / "rust").symlink_to(data / "rust")
    assert _run(trained, "--data", untested, "-o", output) == 2
    assert "no test/" in _sentence(capsys)
    assert not output.exists()


@pytest.mark.train
def test_a_foreign_model_needs_its_description_from_options(
    keras_model: Any, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Labels and scaling are required, and labels in the wrong order are refused."""
    foreign, output = tmp_path / "theirs.keras", tmp_path / "theirs.tflite"
    keras_model.save(foreign)
    call = (foreign, "--data", data, "-o", output)
    assert _run(*call) == 2
    assert "--labels" in _sentence(capsys)
    assert _run(*call, "--labels", "ok,rust") == 2
    assert "--scaling inside" in _sentence(capsys)
    assert _run(*call, "--labels", "ok,rust,dent", "--scaling", "inside") == 2
    assert "2 outputs" in _sentence(capsys)
    assert _run(*call, "--labels", "good,rust", "--scaling", "inside") == 2
    assert "--ok-label" in _sentence(capsys)
    assert _run(*call, "--labels", "rust,ok", "--scaling", "inside") == 1
    assert "worse than chance" in _sentence(capsys)
    assert not output.exists()
    assert _run(*call, "--labels", "ok,rust", "--scaling", "inside") == 0
    assert "split now" in capsys.readouterr().out


@pytest.mark.train
def test_the_outcome_is_readable(
    trained: Path, data: Path, tmp_path: Path, capfd: Captured, conversion: Conversion
) -> None:
    """Figures and the next command are on stdout; TensorFlow logs nothing on either stream."""
    output = tmp_path / "rust.tflite"
    options = ("--name", "line 3", "--model-version", "2026-11")
    assert _run(trained, "--data", data, "-o", output, *options) == 0
    out, err = capfd.readouterr()
    assert err == ""
    expected = ("line 3 2026-11", "AUROC", "escapes", "gate passed: 0 of", "edge-inspect check")
    for words in (*expected, "int8-float-head", "taken", "would pass", "worst layer"):
        assert words in out
    assert "INFO" not in out

    assert _run("show", output) == 0
    shown = capfd.readouterr().out
    shown_words = (
        "line 3",
        "2026-11",
        "24×24",
        "golden/01-ok.png",
        "tensorflow",
        "from float",
        "oldest",
    )
    for words in shown_words:
        assert words in shown


@pytest.mark.train
def test_the_limit_on_flips_reaches_the_gate(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--max-flips is in per cent. A refusal exits with 1 and writes no file."""
    seen: list[GateLimits] = []

    def object_to_all(_trial: SchemeTrial, limits: GateLimits) -> list[str]:
        seen.append(limits)
        return ["too bad"]

    monkeypatch.setattr(selection_module, "objections", object_to_all)
    output = tmp_path / "rust.tflite"
    options = ("--max-flips", "0.4", "--scheme", "float32")
    assert _run(trained, "--data", data, "-o", output, *options) == 1
    assert "refused, nothing was written: float32: too bad" in _sentence(capsys)
    assert seen[0].max_flips == pytest.approx(0.004)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When fsync fails, the older file stays and no partial file is left."""
    path = tmp_path / "m.tflite"
    write_atomically(path, b"first")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EdgeInspectError, match=r"m\.tflite: cannot be written \(No space"):
        write_atomically(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
    assert np.all(path.stat().st_mode & 0o777 == 0o644)

"""`edge-inspect predict`: a verdict a line, from the real model."""

import json
from pathlib import Path

import pytest

from edge.__main__ import main
from tests.conftest import WriteConfig, WritePicture
from tests.edge.conftest import installed_runtimes

pytestmark = pytest.mark.inference


@pytest.fixture(autouse=True)
def _a_runtime() -> None:
    if not installed_runtimes():
        pytest.skip("no TFLite runtime is installed; run: pip install ai-edge-litert")


def test_one_json_verdict_a_line(
    write_config: WriteConfig, write_picture: WritePicture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pictures give verdicts in the order given, on stdout alone, and exit code 0."""
    pictures = [str(write_picture(f"{red}.png", red=red)) for red in (255, 0, 128)]
    assert main(["predict", "-c", str(write_config()), *pictures]) == 0
    captured = capsys.readouterr()
    verdicts = [json.loads(line) for line in captured.out.splitlines()]
    assert [verdict["verdict"] for verdict in verdicts] == ["fail", "pass", "review"]
    assert [verdict["part"] for verdict in verdicts] == pictures
    assert [verdict["seq"] for verdict in verdicts] == [0, 0, 0]
    assert verdicts[0]["model"]["name"] == "redness"
    assert captured.err == ""


def test_bad_picture_is_an_error_and_the_others_are_judged(
    write_config: WriteConfig,
    write_picture: WritePicture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A picture that cannot be judged gives `error`, one sentence on stderr and exit code 1."""
    (tmp_path / "bad.jpg").write_text("text")
    good = str(write_picture())
    code = main(["predict", "-c", str(write_config()), str(tmp_path / "bad.jpg"), good])
    captured = capsys.readouterr()
    assert code == 1
    verdicts = [json.loads(line)["verdict"] for line in captured.out.splitlines()]
    assert verdicts == ["error", "pass"]
    assert len(captured.err.splitlines()) == 1
    assert "bad.jpg: not a JPEG, PNG or BMP picture" in captured.err


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"model": {"path": "none.tflite"}}, "none.tflite: the model file cannot be read"),
        ({"extra": 1}, "extra: unknown key"),
    ],
)
def test_what_cannot_start_is_exit_code_2(
    sections: dict[str, object],
    words: str,
    write_config: WriteConfig,
    write_picture: WritePicture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong configuration or model is one sentence on stderr, nothing on stdout, exit code 2."""
    picture = write_picture()
    assert main(["predict", "-c", str(write_config(**sections)), str(picture)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert "Traceback" not in captured.err


def test_deadline_is_not_for_predict(
    write_config: WriteConfig, write_picture: WritePicture, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shortest deadline refuses no picture that is judged by hand."""
    path = write_config(decision={"deadline_ms": 1})
    assert main(["predict", "-c", str(path), str(write_picture())]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "pass"

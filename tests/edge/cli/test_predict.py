"""`edge-inspect predict`: a verdict a line, from the real model."""

import json
from pathlib import Path

import cv2
import pytest

from edge.__main__ import main
from tests.conftest import WriteConfig, WritePicture
from tests.support.frames import solid
from tests.support.runtimes import installed_runtimes

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
    """The shortest deadline refuses no picture of `predict`."""
    path = write_config(decision={"deadline_ms": 1})
    assert main(["predict", "-c", str(path), str(write_picture())]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "pass"


HALVES = {
    "regions": [{"id": "top", "region": [0, 0, 1, 0.5]}, {"id": "low", "region": [0, 0.5, 1, 0.5]}]
}


def cameras(**views: object) -> list[dict[str, object]]:
    """Cameras with these views; None is without."""
    return [
        {"id": name, "source": "test:", **({} if view is None else {"view": view})}
        for name, view in views.items()
    ]


@pytest.fixture
def half_red(tmp_path: Path) -> str:
    """A picture whose upper half is red."""
    pixels = solid(0, side=64)
    pixels[:32] = solid(255, side=64)[:32]
    path = tmp_path / "half.png"
    assert cv2.imwrite(str(path), pixels)
    return str(path)


@pytest.mark.parametrize(
    ("views", "options", "expected"),
    [
        ({"only": {"region": [0, 0, 1, 0.5]}}, [], [("only", None, "fail")]),
        ({"only": {"region": [0, 0.5, 1, 0.5]}}, [], [("only", None, "pass")]),
        ({"only": HALVES}, [], [("only", "top", "fail"), ("only", "low", "pass")]),
        ({"a": HALVES, "b": {"region": [0, 0.5, 1, 0.5]}}, ["b"], [("b", None, "pass")]),
        ({"a": {"region": [0, 0, 1, 0.5]}, "b": None}, ["a"], [("a", None, "fail")]),
        ({"a": None, "b": None}, [], [("predict", None, "review")]),
    ],
)
def test_pictures_are_cut_as_the_camera_would(
    views: dict[str, object],
    options: list[str],
    expected: list[tuple[str, str | None, str]],
    *,
    half_red: str,
    write_config: WriteConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The view of the only camera, or of the one that is named, is applied; each region that has a
    separate verdict has a line."""
    path = str(write_config(cameras=cameras(**views)))
    named = [word for name in options for word in ("--camera", name)]
    assert main(["predict", "-c", path, *named, half_red]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(v["camera"], v["region"], v["verdict"]) for v in lines] == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [([], "--camera: the cameras a, b have different views"), (["--camera", "x"], "camera 'x'")],
)
def test_a_camera_that_is_not_clear_is_asked_for(
    options: list[str],
    words: str,
    half_red: str,
    write_config: WriteConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With several views `--camera` is required: exit code 2, and the names."""
    path = str(write_config(cameras=cameras(a=HALVES, b=None)))
    assert main(["predict", "-c", path, *options, half_red]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err

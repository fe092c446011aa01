"""`edge-inspect explain`: the same score to the last bit, or what differs and why."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.__main__ import main
from edge.core.verdict import Verdict
from tests.conftest import WriteConfig
from tests.support.frames import noise_frame
from tests.support.jpegs import encode_jpeg
from tests.support.kept_pictures import judge_and_keep
from tests.support.runtimes import installed_runtimes

pytestmark = pytest.mark.inference
SAME = "same score to the last bit"


@pytest.fixture(autouse=True)
def _a_runtime() -> None:
    if not installed_runtimes():
        pytest.skip("no TFLite runtime is installed; run: pip install ai-edge-litert")


class Box:
    """A config.yaml with a model of its own, and an archive that keeps everything."""

    def __init__(self, folder: Path, write_config: WriteConfig, model: Path) -> None:
        self.folder, self._write = folder, write_config
        self.model = Path(shutil.copy(model, folder / "model.tflite"))
        self.sections: dict[str, Any] = {
            "model": {"path": str(self.model)},
            "archive": {
                "enabled": True,
                "path": str(folder / "kept"),
                "keep": ["pass", "review", "fail", "error"],
                "min_free_mb": 0,
            },
        }

    def configure(self, **sections: Any) -> Path:
        """Writes config.yaml with sections replaced."""
        self.sections |= sections
        return self._write(**self.sections)

    def keep(self, *pictures: Any) -> list[Verdict]:
        """Judges and keeps pictures."""
        return judge_and_keep(self.configure(), pictures)

    def explain(self, *ids: str) -> int:
        """The exit code."""
        return main(["explain", "-c", str(self.configure()), *ids])

    def record(self, verdict: Verdict) -> Path:
        """The record file of a verdict."""
        (path,) = (self.folder / "kept").glob(f"*/*{verdict.id}.json")
        return path


@pytest.fixture
def box(tmp_path: Path, write_config: WriteConfig, redness_model: Path) -> Box:
    """A box with the redness model."""
    return Box(tmp_path, write_config, redness_model)


@pytest.fixture
def reddish() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Noise that is red enough to fail."""
    pixels = noise_frame(3, 60).pixels
    assert pixels is not None
    pixels = pixels.copy()
    pixels[..., 2] |= 128
    return pixels


@pytest.mark.parametrize("source", ["raw", "jpg", "png", "bmp"])
def test_same_score_to_the_last_bit(
    box: Box, tmp_path: Path, reddish: Any, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """For pictures of every kind: a raw camera's pixels, JPEG, PNG and BMP."""
    picture: Any = reddish
    if source == "jpg":
        picture = tmp_path / "a.jpg"
        picture.write_bytes(encode_jpeg(reddish))
    elif source != "raw":
        import cv2

        picture = tmp_path / f"a.{source}"
        assert cv2.imwrite(str(picture), reddish)
    (verdict,) = box.keep(picture)
    assert box.explain(verdict.id) == 0
    out = capsys.readouterr().out
    assert SAME in out
    assert repr(verdict.score) in out
    assert "because" not in out


def test_an_id_may_be_shortened(box: Box, reddish: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """To its first digits, while they are unambiguous."""
    verdicts = box.keep(reddish, reddish)
    common = verdicts[0].id[:8]
    assert box.explain(verdicts[0].id[:-1]) == 0
    assert SAME in capsys.readouterr().out
    assert box.explain(common) == 1
    assert f"{common}: 2 verdicts begin so; give more digits" in capsys.readouterr().err


def test_the_model_is_gone(
    box: Box, reddish: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another file in its place is named as the reason; a copy beside it judges again."""
    (verdict,) = box.keep(reddish)
    original = box.model.read_bytes()
    box.model.write_bytes(original + b"\0")
    box.explain(verdict.id)
    out = capsys.readouterr().out
    assert "the model is gone: neither" in out
    assert "redness 1 (sha256 " in out
    (tmp_path / "old.tflite").write_bytes(original)
    assert box.explain(verdict.id) == 0
    out = capsys.readouterr().out
    assert SAME in out
    assert "judged again by" in out
    assert "old.tflite" in out


def test_an_edited_view_is_named(
    box: Box, reddish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recorded view counts, and what that of config.yaml would do is noted."""
    reddish[:30] //= 2
    (verdict,) = box.keep(reddish)
    view = {"region": [0, 0, 1, 0.5]}
    box.configure(cameras=[{"id": "top", "source": "test:", "view": view}])
    assert box.explain(verdict.id) == 0
    out = capsys.readouterr().out
    assert SAME in out
    assert "note: the view of camera top was edited since: with that of config.yaml" in out


def test_an_edited_record_is_named(
    box: Box, reddish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record whose view is not that of the configuration that it names was edited."""
    reddish[:30] //= 2
    (verdict,) = box.keep(reddish)
    path = box.record(verdict)
    body = json.loads(path.read_text())
    body["view"] = {"region": [0, 0, 1, 0.5]}
    path.write_text(json.dumps(body))
    assert box.explain(verdict.id) == 1
    out = capsys.readouterr().out
    assert "differs by" in out
    assert "the record was edited" in out


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("processor", "another processor: Cortex-A72 then,"),
        ("runtime_version", "another version of the TFLite runtime: Cortex-A72 then,"),
        ("runtime", "another TFLite runtime: Cortex-A72 then,"),
    ],
)
def test_another_machine_is_named(
    box: Box, reddish: Any, key: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A score that differs there has its reason; here the score is the same although it differs."""
    (verdict,) = box.keep(reddish)
    path = box.record(verdict)
    body = json.loads(path.read_text())
    body["judged_on"][key] = "Cortex-A72"
    path.write_text(json.dumps(body))
    assert box.explain(verdict.id) == 0
    assert f"although: {words}" in capsys.readouterr().out
    body["judged"]["score"] += 1e-9
    path.write_text(json.dumps(body))
    assert box.explain(verdict.id) == 1
    assert f"because: {words}" in capsys.readouterr().out


def test_a_lossy_picture_is_named(
    box: Box, reddish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lossless: false` keeps other pixels than those judged."""
    box.sections["archive"]["lossless"] = False
    (verdict,) = box.keep(reddish)
    assert box.explain(verdict.id) == 1
    assert "is lossy (archive.lossless: false)" in capsys.readouterr().out


def test_a_changed_picture_is_named(
    box: Box, reddish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody saved another picture under its name."""
    import cv2

    (verdict,) = box.keep(reddish)
    assert cv2.imwrite(str(box.record(verdict).with_suffix(".png")), reddish // 2)
    assert box.explain(verdict.id) == 1
    assert "was changed after it was kept (another sha256)" in capsys.readouterr().out


def test_regions_with_their_own_verdicts(
    box: Box, reddish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each verdict is compared with its own region."""
    reddish[:30] //= 2
    regions = [
        {"id": "a", "region": [0, 0, 1, 0.5]},
        {"id": "b", "region": [0, 0.5, 1, 0.5]},
    ]
    for kind in ("each", "worst"):
        view = {"regions": regions, "verdict": kind}
        box.configure(cameras=[{"id": "top", "source": "test:", "view": view}])
        verdicts = box.keep(reddish)
        assert len(verdicts) == (2 if kind == "each" else 1)
        assert box.explain(*(one.id for one in verdicts)) == 0
        assert capsys.readouterr().out.count(SAME) == len(verdicts)


def test_a_plain_model_is_judged_with_its_recorded_settings(
    box: Box, plain_model: Path, reddish: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """config.yaml may say other thresholds by now."""
    shutil.copy(plain_model, box.model)
    model = {"path": str(box.model), "labels": ["ok", "red"]}
    box.configure(model=model, decision={"reject_at": 0.6, "review_from": 0.4})
    (verdict,) = box.keep(reddish)
    box.configure(decision={"reject_at": 0.99, "review_from": 0.98})
    assert box.explain(verdict.id) == 0
    assert SAME in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("018bcfe5-6800-7000-8000-00000000000b", 1, "no picture of this verdict is kept in"),
        ("deadbeef", 1, "no picture of this verdict is kept in"),
        ("../../etc", 2, "is no id of a verdict; give one as in the result"),
    ],
)
def test_an_unknown_id(
    box: Box, name: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence."""
    assert box.explain(name) == code
    assert words in capsys.readouterr().err


def test_an_error_has_no_score(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its reason is told."""
    path = tmp_path / "a.jpg"
    pixels = noise_frame(1, 64).pixels
    assert pixels is not None
    data = bytearray(encode_jpeg(pixels))
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    path.write_bytes(data)
    (verdict,) = box.keep(path)
    assert verdict.verdict == "error"
    assert box.explain(verdict.id) == 1
    out = capsys.readouterr().out
    assert "cannot be compared" in out
    assert "because: the verdict is error: " in out

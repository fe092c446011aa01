"""The test set decides whether a box may decode JPEGs at reduced scale; the file records it."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from converter.cli.main import main
from converter.convert import Conversion
from converter.report import latency_text
from converter.report.build import render
from converter.report.latency_text import parity_text
from converter.selection import decode_parity as parity_module
from converter.selection.decode_parity import (
    DecodeParity,
    ParityModel,
    as_jpeg,
    decode_both_ways,
    measure_parity,
)
from edge.core.errors import DatasetError
from edge.core.image import EncodedPicture, decode_picture, examine_picture
from edge.core.view import ViewConfig
from edge.inspection.decision import Thresholds
from edge.inspection.preprocessing import InputSpec, preprocess
from edge.inspection.view_crop import ViewCrop
from trainer.data.dataset import Sample

Captured = pytest.CaptureFixture[str]
SPEC = InputSpec(width=24, height=24)
WHOLE_VIEW = ViewCrop(ViewConfig())


def _noise(side: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def _encoded(pixels: Any, suffix: str = ".jpg") -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1].tobytes())


def _picture(side: int, suffix: str = ".jpg") -> EncodedPicture:
    return examine_picture(_encoded(_noise(side), suffix), f"a{suffix}")


@pytest.mark.parametrize(("side", "divisor"), [(24, 1), (40, 1), (48, 2), (96, 4), (192, 8)])
def test_both_ways_come_from_the_same_bytes(side: int, divisor: int) -> None:
    """The reference is the whole JPEG reduced by area. The other is the JPEG at the scale of the
    rule, with the daemon's code. A small picture is not concerned."""
    picture = _picture(side)
    pair = decode_both_ways(picture, SPEC, WHOLE_VIEW)
    if divisor == 1:
        assert pair is None
        return
    assert pair is not None
    assert np.array_equal(pair.whole, preprocess(decode_picture(bytes(picture.data), "a"), SPEC))
    quick, reduced = picture.decode(divisor)
    assert reduced == divisor
    assert np.array_equal(pair.reduced, preprocess(quick, SPEC))
    assert not np.array_equal(pair.reduced, pair.whole)


def test_a_png_is_encoded_as_jpeg_and_a_jpeg_stays() -> None:
    """A PNG is encoded as JPEG once, so that only the decoding differs."""
    jpeg, png = _picture(48), _picture(48, ".png")
    assert as_jpeg(jpeg) is jpeg
    encoded = as_jpeg(png)
    assert encoded.header.kind == "JPEG"
    assert (encoded.header.width, encoded.header.height) == (48, 48)
    assert decode_both_ways(png, SPEC, WHOLE_VIEW) is None
    assert decode_both_ways(encoded, SPEC, WHOLE_VIEW) is not None


def _parity(**changed: Any) -> DecodeParity:
    usual: dict[str, Any] = {
        "pictures": 500,
        "concerned": 400,
        "encoded": 0,
        "flips": (),
        "largest_change": 0.01,
        "mean_change": 0.001,
        "golden_concerned": 8,
        "golden_flips": (),
    }
    return DecodeParity(**(usual | changed))


@pytest.mark.parametrize(
    ("changed", "decoding", "words"),
    [
        ({}, "reduced", "allowed: 0 of 400 verdicts change (500 test pictures)"),
        ({"flips": ("a", "b")}, "reduced", "allowed: 2 of 400"),
        ({"flips": ("a", "b", "c")}, "whole", "not allowed: 3 of 400"),
        ({"concerned": 199, "flips": ("a",)}, "whole", "not allowed: 1 of 199"),
        ({"golden_flips": ("golden/01-ok.jpg",)}, "whole", "golden pictures change: golden/01-ok"),
        ({"concerned": 100}, "reduced", "allowed: 0 of 100"),
        ({"concerned": 99}, "whole", "; at least 100 large enough pictures are needed"),
        ({"concerned": 0}, "whole", "not allowed: none of 500 test pictures is large enough"),
        ({"encoded": 7}, "reduced", "7 are no JPEGs and were encoded with quality 95"),
    ],
)
def test_half_a_percent_may_change_and_no_golden_picture(
    changed: dict[str, Any], decoding: str, words: str
) -> None:
    """Reduced decoding needs at least 100 concerned pictures, at most 0.5 % changed verdicts and no
    changed golden picture. The sentence gives the numbers."""
    found = _parity(**changed)
    assert found.decoding == decoding
    assert words in parity_text(found.as_json())


def _corner(pictures: Any) -> Any:
    """Scores that depend only on the first pixel."""
    return pictures[:, 0, 0, 0].astype(np.float64) / 255


@pytest.fixture
def tested(tmp_path: Path) -> tuple[Sample, ...]:
    """Four test pictures: two large JPEGs, one large PNG, one JPEG that is too small."""
    found: list[Sample] = []
    for name, side in (("a.jpg", 48), ("b.jpg", 96), ("c.png", 48), ("d.jpg", 30)):
        path = tmp_path / name
        path.write_bytes(_encoded(_noise(side, len(found)), path.suffix))
        found.append(Sample(path, name, "ok", name, "test"))
    return tuple(found)


def _expected_scores(tested: tuple[Sample, ...]) -> list[tuple[float, float]]:
    """The whole and the reduced score of each concerned picture, computed independently."""
    found = []
    for sample in tested[:3]:
        data = sample.path.read_bytes()
        if sample.path.suffix == ".png":
            pixels = decode_picture(data, "c")
            data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        whole = decode_picture(data, "x")
        flag = cv2.IMREAD_REDUCED_COLOR_4 if whole.shape[0] == 96 else cv2.IMREAD_REDUCED_COLOR_2
        small = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        both = np.stack([preprocess(whole, SPEC), preprocess(np.asarray(small, np.uint8), SPEC)])
        old, new = _corner(both)
        found.append((float(old), float(new)))
    return found


def test_changes_and_flips_are_counted(tested: tuple[Sample, ...]) -> None:
    """Largest and mean change of the three concerned pictures, and a flip where a threshold is
    between the two scores. Review counts as a verdict."""
    pairs = _expected_scores(tested)
    changes = [abs(new - old) for old, new in pairs]
    at = Thresholds(reject_at=1.0, review_from=sum(pairs[1]) / 2)
    flipped = [
        sample.file
        for sample, (old, new) in zip(tested, pairs)
        if (old < at.review_from) != (new < at.review_from)
    ]
    seen: list[tuple[int, int]] = []
    golden = {"golden/01-ok.jpg": tested[1].path.read_bytes(), "golden/02-ok.png": _small_png()}
    model = ParityModel(SPEC, at, _corner)
    found = measure_parity(model, tested, golden, lambda done, total: seen.append((done, total)))
    assert (found.pictures, found.concerned, found.encoded) == (4, 3, 1)
    assert found.largest_change == pytest.approx(max(changes))
    assert found.mean_change == pytest.approx(sum(changes) / 3)
    assert found.flips == tuple(flipped)
    assert "b.jpg" in found.flips
    assert (found.golden_concerned, found.golden_flips) == (1, ("golden/01-ok.jpg",))
    assert found.decoding == "whole"
    assert seen[-1] == (4, 4)


def _small_png() -> bytes:
    return _encoded(_noise(24), ".png")


def test_a_missing_picture_is_named(tested: tuple[Sample, ...]) -> None:
    """A test picture that no longer exists gives a sentence with its name."""
    tested[1].path.unlink()
    model = ParityModel(SPEC, Thresholds(reject_at=0.5, review_from=0.5), _corner)
    with pytest.raises(DatasetError, match=r"b\.jpg.*it existed at the start of the conversion"):
        measure_parity(model, tested, {}, lambda _done, _total: None)


@pytest.mark.train
def test_pictures_too_small_allow_nothing(conversion: Conversion) -> None:
    """Pictures that are too small give a file without the key `decoding`, which older boxes would
    refuse. The report gives the reason."""
    assert conversion.parity.concerned == 0
    assert conversion.spec.decoding == "whole"
    with zipfile.ZipFile(conversion.path) as archive:
        recorded = json.loads(archive.read("inspection.json"))
    assert "decoding" not in recorded
    assert recorded["quantisation"]["parity"]["pictures"] == conversion.parity.pictures
    page = render(replace(conversion))
    assert "JPEGs decoded at reduced scale" in page
    assert "is large enough to be reduced, so the effect is unknown" in page


@pytest.fixture(scope="module")
def large(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set with pictures four times as large, so that each can be reduced."""
    root = tmp_path_factory.mktemp("large")
    for path in sorted(data.glob("*/*.png")):
        (root / path.parent.name).mkdir(exist_ok=True)
        pixels = cv2.imread(str(path))
        assert pixels is not None
        grown = np.repeat(np.repeat(pixels, 4, axis=0), 4, axis=1)
        cv2.imwrite(str(root / path.parent.name / f"{path.stem}.jpg"), grown)
    return root


def _convert(trained: Path, data: Path, output: Path) -> int:
    options = ["--scheme", "float32", "--without-tflite-runtime"]
    return main([str(trained), "--data", str(data), "-o", str(output), *options])


@pytest.mark.train
def test_reduced_decoding_without_effect_is_allowed_and_shown(
    trained: Path, large: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """inspection.json has the key; edge-convert and `show` print it."""
    for module in (parity_module, latency_text):  # the data set is small
        monkeypatch.setattr(module, "MIN_CONCERNED", 60)
    output = tmp_path / "m.tflite"
    assert _convert(trained, large, output) == 0
    assert "JPEGs at reduced scale: allowed: 0 of 60 verdicts change" in capsys.readouterr().out
    with zipfile.ZipFile(output) as archive:
        assert json.loads(archive.read("inspection.json"))["decoding"] == "reduced"
    assert main(["show", str(output)]) == 0
    shown = capsys.readouterr().out
    assert "decoded at the scale that the model needs; reduced scale is allowed: 0 of" in shown


@pytest.mark.train
def test_reduced_decoding_that_flips_verdicts_is_not_allowed(
    trained: Path, large: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder with wrong reduced pictures changes verdicts. The file is written, for whole
    decoding."""
    original = parity_module.decode_both_ways

    def dark(*arguments: Any) -> Any:
        pair = original(*arguments)
        return pair and replace(pair, reduced=np.zeros_like(pair.whole))

    monkeypatch.setattr(parity_module, "decode_both_ways", dark)
    output = tmp_path / "m.tflite"
    assert _convert(trained, large, output) == 0
    assert "JPEGs at reduced scale: not allowed: " in capsys.readouterr().out
    with zipfile.ZipFile(output) as archive:
        assert "decoding" not in json.loads(archive.read("inspection.json"))
    assert main(["show", str(output)]) == 0
    assert "decoded whole; reduced scale is not allowed" in capsys.readouterr().out

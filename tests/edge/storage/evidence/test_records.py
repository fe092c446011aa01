"""What stands beside a kept picture, and that it is read as it was written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.frame import Frame
from edge.core.ids import uuid7
from edge.core.image import EncodedPicture, examine_picture
from edge.core.verdict import Judging, Rule, Verdict
from edge.core.view import ViewConfig
from edge.storage import EvidenceReader
from edge.storage.evidence.names import read_name
from edge.storage.evidence.record import EvidenceFrame, read_record, record_body
from tests.support.archives import archive, keep
from tests.support.frames import frame, noise_frame, solid
from tests.support.jpegs import encode_jpeg
from tests.support.verdicts import a_verdict

NOON = 1_700_000_000.0
JPEG = encode_jpeg(solid(200))
VIEW = ViewConfig.read({"region": [0.1, 0.2, 0.5, 0.5], "rotate": 90})


def judged(at: float = NOON, **changes: object) -> Verdict:
    """A fail with everything that its evidence states."""
    how = Judging(VIEW, {"smallest_multiple": 1.0}, {"ok_label": "ok"}, "litert")
    values = {"judging": how, "captured_at": at, "id": uuid7(int(at * 1000)), **changes}
    return a_verdict(**values)


def jpeg_frame(seq: int = 1) -> Frame:
    """A frame of a camera that gives JPEGs, decoded already."""
    picture = examine_picture(JPEG, "camera")
    return replace(frame(seq), encoded=picture, pixels=picture.decode()[0])


def only_record(folder: Path) -> tuple[Path, dict[str, object]]:
    """The one record file and its content."""
    (path,) = folder.glob("*/*.json")
    return path, json.loads(path.read_text())


def test_a_record_says_all_that_judging_again_takes(tmp_path: Path) -> None:
    """The result body without `seq`, why it was kept, the rate in force, view, rule, exact scores,
    and where it was judged."""
    verdict = judged()
    keep(archive(tmp_path, pass_sample=0.25), [(frame(3), verdict)])
    path, body = only_record(tmp_path)
    assert body["schema"] == "edge-inspect/evidence/1"
    result = body["result"]
    assert isinstance(result, dict)
    assert (result["id"], result["verdict"], result["score"]) == (verdict.id, "fail", 0.876543)
    assert not {"seq", "replayed"} & set(result)
    assert (body["why"], body["pass_sample"]) == (["verdict"], 0.25)
    assert body["view"] == {"rotate": 90, "region": [0.1, 0.2, 0.5, 0.5]}
    assert body["decoding"] == {"smallest_multiple": 1.0}
    assert body["judged"] == {
        "score": verdict.score,
        "probabilities": verdict.probabilities,
        "scores": [],
        "regions": {},
    }
    on = body["judged_on"]
    assert isinstance(on, dict)
    assert {"machine", "processor", "runtime", "runtime_version", "edge_inspect"} <= set(on)
    assert path.stem == f"fail-top-{verdict.id}"


@pytest.mark.slow
@given(score=st.floats(0, 1), others=st.lists(st.floats(0, 1), max_size=4))
def test_scores_are_read_back_to_the_last_bit(score: float, others: list[float]) -> None:
    """Whatever their digits: JSON's text of a float is exact."""
    verdict = judged(score=score, rule=Rule(scores=tuple(others)))
    shown = EvidenceFrame(f"fail-top-{verdict.id}.png", 1, "t", "png")
    data = record_body(verdict, (shown,), ("verdict",), 0.0, {})
    name = read_name(shown.file)
    assert name is not None
    record = read_record(Path("x"), name, data)
    assert record.judged is not None
    assert (record.judged["score"], record.judged["scores"]) == (score, others)


def test_the_cameras_own_jpeg_is_kept(tmp_path: Path) -> None:
    """Byte by byte, also when it was decoded before."""
    keep(archive(tmp_path), [(jpeg_frame(), judged())])
    (record,) = EvidenceReader(tmp_path).records()
    assert record.frames[0].encoding == "camera-jpeg"
    assert record.read() == JPEG


@pytest.mark.parametrize(("lossless", "encoding"), [(True, "png"), (False, "jpeg-90")])
def test_pixels_without_a_jpeg(tmp_path: Path, lossless: bool, encoding: str) -> None:
    """Kept to the last bit by default; `lossless: false` makes a JPEG and says so."""
    shown = noise_frame(1, side=40)
    keep(archive(tmp_path, lossless=lossless), [(shown, judged())])
    (record,) = EvidenceReader(tmp_path).records()
    assert record.frames[0].encoding == encoding
    pixels, _ = record.picture().decode()
    assert shown.pixels is not None
    assert np.array_equal(pixels, shown.pixels) == lossless


def test_all_frames_of_a_part(tmp_path: Path) -> None:
    """The verdict's own frame first, then the others; each file is named in the record."""
    frames = [noise_frame(2, 20), noise_frame(1, 20), noise_frame(3, 20)]
    verdict = judged(rule=Rule("worst", 3, (0.1, 0.9, 0.2)))
    keep(archive(tmp_path), [(frames, verdict)])
    (record,) = EvidenceReader(tmp_path).records()
    stem = f"fail-top-{verdict.id}"
    assert [one.file for one in record.frames] == [f"{stem}.png", f"{stem}.2.png", f"{stem}.3.png"]
    assert [one.seq for one in record.frames] == [2, 1, 3]
    for number, shown in enumerate(frames):
        assert shown.pixels is not None
        assert np.array_equal(record.picture(number).decode()[0], shown.pixels)


def test_a_damaged_frame_of_a_part_costs_that_frame_only(tmp_path: Path) -> None:
    """The others are kept, and the record names those."""
    header = replace(examine_picture(JPEG, "x").header, kind="PNG")
    bad = replace(frame(2), pixels=None, encoded=EncodedPicture(b"damaged", "x", header))
    keep(archive(tmp_path, lossless=False), [([noise_frame(1, 20), bad], judged())])
    (record,) = EvidenceReader(tmp_path).records()
    assert [one.seq for one in record.frames] == [1]


def test_a_picture_of_an_earlier_version_has_no_result(tmp_path: Path) -> None:
    """It is found and read all the same."""
    day = tmp_path / "2023-11-14"
    day.mkdir()
    name = uuid7(int(NOON * 1000))
    (day / f"review-side-2-{name}.jpg").write_bytes(JPEG)
    record = EvidenceReader(tmp_path).find(name)
    assert record is not None
    assert (record.result, record.view, record.why) == (None, None, ("verdict",))
    assert (record.verdict, record.camera) == ("review", "side-2")
    assert record.read() == JPEG


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"schema": "edge-inspect/evidence/1", "frames": [], "result": {}}', "damaged"),
        ('{"schema": "x", "frames": [], "result": {}}', "damaged"),
        ("elsewhere", "damaged"),
        ("newer", "newer version"),
    ],
)
def test_a_record_that_cannot_be_used(tmp_path: Path, text: str, fault: str) -> None:
    """Its picture stays readable, no other file is, and the record says what is wrong."""
    keep(archive(tmp_path), [(frame(), judged())])
    path, body = only_record(tmp_path)
    if text == "elsewhere":
        frames = [{"file": "../../etc/passwd", "seq": 1, "captured_at": "t", "encoding": "png"}]
        text = json.dumps({**body, "frames": frames})
    if text == "newer":
        text = json.dumps({**body, "schema": "edge-inspect/evidence/2"})
    path.write_text(text)
    (record,) = EvidenceReader(tmp_path).records()
    assert record.fault is not None
    assert fault in record.fault
    assert record.result is None
    assert record.path().suffix == ".png"
    assert record.read()


def test_records_by_time(tmp_path: Path) -> None:
    """The oldest first; `since` is included, `until` is not; days without pictures are none."""
    kept = archive(tmp_path)
    times = [NOON, NOON + 90_000, NOON + 90_001]
    keep(kept, [(frame(), judged(at)) for at in times])
    reader = EvidenceReader(tmp_path)

    def found(since: float | None = None, until: float | None = None) -> list[float]:
        return [record.time_ms / 1000 for record in reader.records(since, until)]

    assert found() == times
    assert [record.time_ms / 1000 for record in reader.newest_first()] == times[::-1]
    assert found(since=NOON + 90_000) == times[1:]
    assert found(until=NOON + 90_000) == times[:1]
    assert found(NOON + 1, NOON + 2) == []


def test_one_day_folder_alone(tmp_path: Path) -> None:
    """A person may copy a folder of the archive away and read it there."""
    verdict = judged()
    keep(archive(tmp_path), [(frame(), verdict)])
    (day,) = tmp_path.iterdir()
    assert [record.id for record in EvidenceReader(day).records()] == [verdict.id]
    assert EvidenceReader(day).find(verdict.id) is not None
    assert list(EvidenceReader(tmp_path / "none").records()) == []
    assert list(EvidenceReader(tmp_path).ids(verdict.id[:10])) == [verdict.id]

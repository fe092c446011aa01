"""The record beside a kept picture: `edge-inspect/evidence/1`.

It holds all that judging the picture again takes. Scores are exact here: JSON's shortest form of a
float is read back to the same bits. The `result` body has them rounded, and lacks `seq` and
`replayed`, which the outbox adds when it stores and sends the verdict.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edge.core.image import EncodedPicture, examine_picture
from edge.core.messages import rfc3339, stored_body, to_json
from edge.core.regular_file import read_regular
from edge.core.verdict import Outcome, Verdict
from edge.storage.evidence.names import EvidenceName

SCHEMA = "edge-inspect/evidence/1"

Encoding = Literal["camera-jpeg", "png", "jpeg-90"]
Why = Literal["verdict", "near_threshold", "sample"]


@dataclass(frozen=True, slots=True)
class EvidenceFrame:
    """One kept frame.

    - `file`: the picture's name, in the record's folder.
    - `seq`: of the frame.
    - `captured_at`: RFC 3339.
    - `encoding`: `jpeg-90` is lossy; the others hold the judged pixels.
    - `sha256`: of the file; empty for a picture without a record.
    """

    file: str
    seq: int
    captured_at: str
    encoding: Encoding
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """The record of one verdict. A picture of an earlier version has no record file: then
    `result` is None.

    - `folder`, `stem`: where its files are.
    - `id`, `verdict`, `camera`, `time_ms`: as the name says.
    - `frames`: the verdict's own picture, then the part's other frames in order of capture.
    - `body`: the whole record file; empty without one.
    - `fault`: why the record file cannot be read.
    """

    folder: Path
    stem: str
    id: str
    verdict: Outcome
    camera: str
    time_ms: int
    frames: tuple[EvidenceFrame, ...]
    body: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None

    @property
    def result(self) -> dict[str, Any] | None:
        """The `result` body without `seq` and `replayed`."""
        return self.body.get("result")

    @property
    def why(self) -> tuple[str, ...]:
        """Why it was kept: `verdict`, `near_threshold`, `sample`."""
        return tuple(self.body.get("why", ("verdict",)))

    @property
    def pass_sample(self) -> float:
        """The share of `pass` that was kept as a random sample at that time."""
        return float(self.body.get("pass_sample", 0.0))

    @property
    def view(self) -> dict[str, Any] | None:
        """The view that cut the frames, as config.yaml writes one."""
        return self.body.get("view")

    @property
    def judged(self) -> dict[str, Any] | None:
        """The exact `score`, `probabilities`, frames' `scores` and `regions`."""
        return self.body.get("judged")

    @property
    def settings(self) -> dict[str, Any]:
        """`ok_label`, and of a plain model what config.yaml said of it."""
        return dict(self.body.get("settings") or {})

    @property
    def decoding(self) -> dict[str, Any] | None:
        """The model's rule for JPEGs; None: whole and in colour."""
        return self.body.get("decoding")

    @property
    def judged_on(self) -> dict[str, Any]:
        """Machine, runtime and version that judged."""
        return dict(self.body.get("judged_on") or {})

    def path(self, number: int = 0) -> Path:
        """Where a frame is."""
        return self.folder / self.frames[number].file

    def read(self, number: int = 0) -> bytes:
        """A frame's file. Raises OSError."""
        return read_regular(self.path(number))

    def picture(self, number: int = 0) -> EncodedPicture:
        """A frame, its header checked. Raises OSError and PictureError."""
        return examine_picture(self.read(number), str(self.path(number)))


def record_body(
    verdict: Verdict,
    frames: tuple[EvidenceFrame, ...],
    why: tuple[Why, ...],
    pass_sample: float,
    judged_on: Mapping[str, Any],
) -> bytes:
    """The record file of a verdict. Raises ValueError for NaN and infinity."""
    result = json.loads(stored_body(verdict, 0))
    del result["seq"]
    how = verdict.judging
    exact = {
        "score": verdict.score,
        "probabilities": verdict.probabilities,
        "scores": verdict.rule.scores,
        "regions": verdict.rule.regions,
    }
    return to_json(
        {
            "schema": SCHEMA,
            "result": result,
            "why": why,
            "pass_sample": pass_sample,
            "view": None if how is None else how.view.to_dict(brief=True),
            "decoding": None if how is None else how.decoding,
            "settings": None if how is None else how.settings,
            "frames": [asdict(one) for one in frames],
            "judged": exact,
            "judged_on": judged_on,
        }
    )


def read_record(folder: Path, name: EvidenceName, data: bytes | None) -> EvidenceRecord:
    """The record of a picture. `data`: the record file; None: there is none."""
    suffix = name.suffix if name.is_picture else "jpg"
    bare = EvidenceFrame(
        f"{name.stem}.{suffix}",
        0,
        rfc3339(name.time_ms / 1000),
        "png" if suffix == "png" else "camera-jpeg",
    )
    record = EvidenceRecord(
        folder, name.stem, name.id, name.verdict, name.camera, name.time_ms, (bare,)
    )
    if data is None:
        return record
    try:
        return _with_body(record, json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fault = f"{folder / name.stem}.json: is damaged; only its picture is left"
        return replace(record, fault=fault)


def _with_body(record: EvidenceRecord, body: Any) -> EvidenceRecord:
    if not str(body["schema"]).startswith("edge-inspect/evidence/"):
        raise ValueError(body["schema"])
    frames = []
    for one in body["frames"]:
        file = str(one["file"])
        if "/" in file or not file.startswith(record.stem):
            raise ValueError(file)
        frames.append(
            EvidenceFrame(
                file,
                int(one["seq"]),
                str(one["captured_at"]),
                one["encoding"],
                str(one.get("sha256", "")),
            )
        )
    if not frames or body["result"]["id"] != record.id:
        raise ValueError("no frames, or another verdict's record")
    if body["schema"] != SCHEMA:
        fault = f"{record.folder / record.stem}.json: is of a newer version ({body['schema']})"
        return replace(record, fault=fault, frames=tuple(frames))
    return replace(record, body=body, frames=tuple(frames))

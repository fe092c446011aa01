"""Keeps pictures of every kind and judges them again. Checks that all verdicts and scores are the
same to the last bit.

    python -m tests.campaigns.rejudged --count 10000 --explained 100

A third are JPEGs as a camera gives them, a third frames of a raw YUYV camera, a third PNGs. One
model decodes JPEGs whole, one by a rule of its own at reduced scale; cameras have views. Exit code
1 when a score or a verdict differs.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import yaml

from edge.__main__ import main as edge_inspect
from edge.config import load_config
from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.image import examine_picture
from edge.core.terms import Pixels
from edge.inspection import pack_model_file
from edge.inspection.model_file import InspectionSpec
from edge.pipeline import build_inspector, build_judge
from edge.storage import EvidenceReader
from edge.storage.evidence.archive import Archive, NoLabels

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_CAMERAS = (
    {"id": "whole", "source": "test:"},
    {"id": "turned", "source": "test:", "view": {"rotate": 90, "region": [0.1, 0.2, 0.6, 0.5]}},
    {
        "id": "flat",
        "source": "test:",
        "view": {"perspective": [[0.1, 0.1], [0.9, 0.05], [0.95, 0.9], [0.05, 0.95]]},
    },
)


def scene(rng: np.random.Generator) -> Pixels:
    """Smooth noise on a tone: compresses as a photograph does."""
    height, width = (240, 320) if rng.random() < 0.8 else (480, 640)
    small = rng.normal((90, 60, int(rng.integers(0, 256))), 25, (height // 8, width // 8, 3))
    large = cv2.resize(np.clip(small, 0, 255).astype(np.uint8), (width, height))
    return np.asarray(large, np.uint8)


def through_yuyv(pixels: Pixels) -> Pixels:
    """BGR as OpenCV makes it of a raw camera's YUYV."""
    yuv = cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV)
    packed = np.empty((*pixels.shape[:2], 2), np.uint8)
    packed[..., 0] = yuv[..., 0]
    packed[:, 0::2, 1], packed[:, 1::2, 1] = yuv[:, 0::2, 1], yuv[:, 0::2, 2]
    return np.asarray(cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_YUYV), np.uint8)


def frames(count: int, seed: int) -> Iterator[Frame]:
    """Frames of each kind in turn, of each camera."""
    rng = np.random.default_rng(seed)
    for seq in range(1, count + 1):
        pixels, camera = scene(rng), str(_CAMERAS[seq // 3 % len(_CAMERAS)]["id"])
        now = time.time()
        frame = Frame(camera, seq, None, now, time.monotonic())
        if seq % 3 == 0:
            yield replace(frame, pixels=through_yuyv(pixels))
            continue
        suffix = ".jpg" if seq % 3 == 1 else ".png"
        _, data = cv2.imencode(suffix, pixels)
        yield replace(frame, encoded=examine_picture(data.tobytes(), "camera"))


def reduced_model(folder: Path) -> Path:
    """The same model with a rule that decodes JPEGs at reduced scale."""
    with zipfile.ZipFile(MODEL) as appended:
        body = json.loads(appended.read("inspection.json"))
        start = min(info.header_offset for info in appended.infolist())
    body["schema"] = "edge-inspect/model/2"
    body["input"]["decoding"] = {"smallest_multiple": 1.5}
    body["golden"] = []
    path = folder / "reduced.tflite"
    spec = InspectionSpec.read(body)
    path.write_bytes(pack_model_file(MODEL.read_bytes()[:start], ("ok", "red"), spec, {}))
    return path


def keep_all(config_path: Path, count: int, seed: int) -> int:
    """Judges and keeps; returns the number of kept verdicts."""
    config = load_config(config_path)
    judge = build_judge(config, build_inspector(config), Clock(), None)
    archive = Archive(config.archive, Clock(), NoLabels())
    thread = threading.Thread(target=archive.run)
    thread.start()
    for number, frame in enumerate(frames(count, seed)):
        (verdict,) = judge.judge(frame)
        while archive.counts.kept < number - 5:  # its queue is bounded
            time.sleep(0.001)
        archive.keep([frame], verdict)
    archive.close()
    thread.join()
    return sum(1 for _ in EvidenceReader(config.archive.path).records())


def check(folder: Path, model: Path, count: int, explained: int, seed: int) -> bool:
    """One model; prints its figures. Whether all is the same."""
    archive = folder / model.stem
    config = folder / f"{model.stem}.yaml"
    everything = ["pass", "review", "fail", "error"]
    values = {
        "station": "line1",
        "model": {"path": str(model)},
        "cameras": list(_CAMERAS),
        "archive": {"enabled": True, "path": str(archive), "keep": everything, "min_free_mb": 0},
    }
    values["archive"] |= {"max_mb": 100_000}  # type: ignore[operator]
    config.write_text(yaml.safe_dump(values))
    kept = keep_all(config, count, seed)
    target = folder / "rejudged.json"
    since = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        edge_inspect(["rejudge", "-c", str(config), "--json", str(target)])
    took_s = time.monotonic() - since
    found = json.loads(target.read_text())
    records = list(EvidenceReader(archive).records())
    ids = [record.id for record in records[:: max(1, len(records) // max(1, explained))]]
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = edge_inspect(["explain", "-c", str(config), *ids])
    proven = text.getvalue().count("same score to the last bit")
    print(
        f"{model.name}: {count} judged, {kept} kept, {found['judged']} judged again in "
        f"{took_s:.0f} s: {found['flips']} flips, {found['same_score']} with the same score; "
        f"explain: {proven} of {len(ids)} the same"
    )
    same = found["judged"] == found["same_score"] == kept == count and found["flips"] == 0
    return same and code == 0 and proven == len(ids)


def main() -> int:
    """Prints the figures. Exit code 1 when a score differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--explained", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        models = [MODEL, reduced_model(Path(name))]
        count = arguments.count // len(models)
        good = [
            check(Path(name), model, count, arguments.explained // 2, arguments.seed)
            for model in models
        ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

"""`edge-inspect show`: one verdict with its labels, and its picture with region and score."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.cli.records import open_records
from edge.cli.snapshot import SUFFIXES, Region, draw_region, encode_picture
from edge.config import Config
from edge.core.drawn_text import draw_text
from edge.core.errors import EXIT_DONE, EdgeInspectError, PictureError, RefusedError
from edge.core.output import write_error, write_output
from edge.core.terms import Pixels
from edge.core.text import one_line
from edge.core.times import local_time
from edge.core.view import ViewConfig
from edge.inspection import ViewCrop
from edge.models import read_model
from edge.plant import Records, VerdictDetails

_COLOURS = {  # blue, green, red
    "pass": (0, 160, 0),
    "review": (0, 190, 255),
    "fail": (0, 0, 255),
    "error": (255, 0, 255),
}
_WIDTH = 11
_LEAST_WIDTH = 320  # pixels; smaller pictures are enlarged


def show(config_path: Path, name: str, target: Path | None, *, as_json: bool) -> int:
    """Prints all that is known. `target`: where the picture is written."""
    if target is not None and target.suffix.lower() not in SUFFIXES:
        raise RefusedError(f"-o {target}: must end in {', '.join(SUFFIXES)}")
    records, config = open_records(config_path)
    shown = records.show(name)
    if as_json:
        write_output(json.dumps(shown.to_dict(), ensure_ascii=False) + "\n")
    else:
        for key, text in _lines(shown):
            write_output(f"{key:{_WIDTH}}{one_line(text)}\n")
    if target is not None:
        _write_picture(records, shown, config, target)
        if not as_json:
            write_output(f"{'drawn':{_WIDTH}}{one_line(str(target))}\n")
    return EXIT_DONE


def _lines(shown: VerdictDetails) -> Iterator[tuple[str, str]]:
    yield "id", shown.id
    doubtful = " (doubtful: the clock had jumped)" if shown.doubtful else ""
    yield "made", f"{local_time(shown.made_at)}{doubtful}"
    if shown.result is None:
        yield "verdict", "not known any more: history has no row of it and its picture no record"
    else:
        yield from _result_lines(shown.result)
        if not shown.remembered:
            yield "history", "does not have it; this is from the record beside its picture"
    yield from _truth_lines(shown)
    yield "picture", shown.picture
    if shown.evidence is not None:
        yield from _evidence_lines(shown.evidence)


def _result_lines(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    score, at, model = result["score"], result["thresholds"], result["model"]
    line = result["verdict"]
    if score is not None:
        line += f", label {result['label']}, score {score:.6f}"
    if at["reject_at"] is not None:
        line += f" (fail from {at['reject_at']:g}, review from {at['review_from']:g})"
    yield "verdict", line
    if result["reason"]:
        yield "reason", result["reason"]
    if len(result["probabilities"]) > 1:
        found = sorted(result["probabilities"].items(), key=lambda one: -one[1])
        yield "labels", ", ".join(f"{label} {share:.4f}" for label, share in found)
    part = "" if result["part"] is None else f", part {result['part']}"
    region = "" if result.get("region") is None else f", region {result['region']}"
    number = f", number {result['seq']}" if "seq" in result else ""
    yield "captured", f"{result['captured_at']}, camera {result['camera']}{region}{part}{number}"
    if model is not None:
        yield "model", f"{model['name']} {model['version']}, sha256 {model['sha256']}"
    if (recipe := result.get("recipe")) is not None:
        yield "recipe", f"{recipe['number']} {recipe['name'] or '(not in config.yaml)'}"
    frame, took = result["frame"], result["latency_ms"]
    inference = "" if took["inference"] is None else f", of it inference {took['inference']:g} ms"
    size = f"{frame['width']}×{frame['height']}, number {frame['seq']}"
    yield "frame", f"{size}; to the verdict {took['capture_to_verdict']:g} ms{inference}"
    yield "config", result["config"]


def _truth_lines(shown: VerdictDetails) -> Iterator[tuple[str, str]]:
    yield "truth", shown.truth or "nobody has labelled it"
    did = {"label": "labelled", "undo": "label taken back", "export": "exported"}
    for action in shown.actions:
        label = f" {action.label}" if action.label else ""
        note = f": {action.note}" if action.note else ""
        yield "", f"{did[action.what]}{label} by {action.by}, {action.at}{note}"


def _evidence_lines(evidence: dict[str, Any]) -> Iterator[tuple[str, str]]:
    why = ", ".join(evidence["why"]).replace("_", " ")
    rate = evidence["pass_sample"]
    yield "kept", f"because of: {why}; pass_sample was {rate:g}"
    for number, frame in enumerate(evidence["frames"], start=1):
        if number > 1:
            yield "", f"picture {number}: {frame['file']} ({frame['encoding']})"
    on = evidence["judged_on"]
    if on:
        yield "judged on", ", ".join(f"{key} {value}" for key, value in on.items())
    if evidence["fault"]:
        yield "fault", evidence["fault"]


def _write_picture(records: Records, shown: VerdictDetails, config: Config, target: Path) -> None:
    data = records.picture(shown.id).data
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise PictureError(f"{shown.picture}: cannot be decoded; the file is damaged")
    encode_picture(_drawn(np.asarray(pixels, np.uint8), shown, config), target)


def _drawn(pixels: Pixels, shown: VerdictDetails, config: Config) -> Pixels:
    """The straightened picture with the judged regions; the one that decided has the verdict's
    colour."""
    result, evidence = shown.result, shown.evidence
    raw = None if evidence is None else evidence["view"]
    view = ViewConfig() if raw is None else ViewConfig.read(raw)
    straight, boxes = ViewCrop(view).show(pixels)
    drawn = straight.copy()
    if result is None:
        return drawn
    colour = _COLOURS[result["verdict"]]
    region = _model_region(config, result)
    for name, box in boxes.items():
        decided = name == result.get("region") or len(boxes) == 1
        if decided:
            draw_region(drawn, box, region, colour)
        else:
            draw_region(drawn, box, region)
    return _with_bar(drawn, result, colour)


def _model_region(config: Config, result: dict[str, Any]) -> Region | None:
    """The region of the model that judged; None when that file is not the configured one."""
    try:
        model = read_model(config)
    except EdgeInspectError:
        return None
    judged = result["model"]
    if model.spec is None or judged is None or judged["sha256"] != model.sha256:
        if judged is not None and judged["sha256"] != model.sha256:
            write_error(
                "edge-inspect: another model than the configured one judged it, so the region of "
                "the model is not drawn"
            )
        return None
    return model.spec.input.region


def _with_bar(drawn: Pixels, result: dict[str, Any], colour: tuple[int, int, int]) -> Pixels:
    """The picture with verdict, score and label on a bar above it."""
    factor = -(-_LEAST_WIDTH // drawn.shape[1])
    large = drawn.repeat(factor, axis=0).repeat(factor, axis=1)
    score = "" if result["score"] is None else f" {result['score']:.4f}"
    label = result["label"] or ""
    text = f"{result['verdict']}{score} {label}".strip()
    size = max(12, large.shape[1] // 24)
    bar = np.full((2 * size, large.shape[1], 3), 32, np.uint8)
    room = large.shape[1] - size
    draw_text(bar, text, (size // 2, size * 3 // 2), size=size, colour=colour, width=room)
    return np.concatenate([bar, large])

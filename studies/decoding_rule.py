"""What the decoding rule costs: AUROC with whole and with reduced JPEGs, several seeds.

    python -m studies.decoding_rule DATASET [--side 64] [--size 1920x1080] [--json FILE]

A seed sets the weights and which training pictures validate. For each seed one network is trained
with whole JPEGs, and one for each multiple with the rule and varied readings, as edge-train does
it. Pictures that are no JPEGs become JPEGs of quality 95; `--size` enlarges every picture first
(a portrait is turned), with quality 90. Each network is measured on the test set: in the path
that it was trained for, with thresholds chosen there on the validation set, and with the same
thresholds on raw pixels (as from a PNG or a raw frame), on whole JPEGs and on JPEGs of quality
70.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.core.image import EncodedPicture, examine_picture, open_picture
from edge.core.view import ViewConfig
from edge.inspection import (
    DecodingRule,
    InputSpec,
    ViewCrop,
    jpeg_decoding,
    model_input,
    preprocess,
)
from trainer.core import Epoch
from trainer.data import Dataset, LabelledArrays, load_dataset, map_pictures
from trainer.data.varied_decoding import as_jpeg, varied_input
from trainer.evaluation import auroc
from trainer.evaluation.thresholds import thresholds_for
from trainer.networks import probabilities
from trainer.training import default_settings
from trainer.training.decoding_choice import whole
from trainer.training.fit import fit
from trainer.training.input_choice import input_for

SETS = ("train", "validation", "test")


class Silent:
    """An observer of a training that prints nothing."""

    def start(self, parameters: int, epochs: int) -> None: ...
    def batch(self, epoch: int, done: int, total: int) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...


def enlarged(data: Dataset, size: tuple[int, int], folder: Path) -> Dataset:
    """The same pictures as JPEGs of this size."""
    samples = []
    for number, sample in enumerate(data.samples):
        pixels = open_picture(sample.path).decode()[0]
        if (pixels.shape[0] > pixels.shape[1]) != (size[1] > size[0]):
            pixels = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        path = folder / f"{number:05d}.jpg"
        larger = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), larger, [cv2.IMWRITE_JPEG_QUALITY, 90])
        samples.append(replace(sample, path=path))
    return replace(data, samples=tuple(samples))


def divisors(data: Dataset, spec: InputSpec) -> list[int]:
    """By what the rule divides each picture of the data set."""
    crop = ViewCrop(ViewConfig())
    headers = [open_picture(sample.path).header for sample in data.samples]
    return [jpeg_decoding(h.width, h.height, crop, spec).reduction for h in headers]


class Readings:
    """Reads the sets in several ways, each once."""

    def __init__(self, data: Dataset, folder: Path, seed: int) -> None:
        self._data, self._folder, self._seed = data, folder, seed
        self._found: dict[str, Any] = {}

    def of(self, set_name: str, way: str, spec: InputSpec) -> Any:
        """The model's inputs of a set: uint8, (n, *spec.shape)."""
        ways: dict[str, Callable[[int, EncodedPicture], Any]] = {
            "rule": lambda _n, picture: model_input(as_jpeg(picture), spec),
            "raw": lambda _n, picture: preprocess(picture.decode()[0], spec),
            "quality 70": lambda _n, picture: model_input(_again(picture, 70), spec),
            "varied": lambda n, picture: varied_input(picture, spec, np.random.default_rng(n)),
        }
        key = f"{self._seed}-{set_name}-{way}-{spec.decoding}".replace(" ", "_")
        if key not in self._found:
            file = self._folder / f"{abs(hash(key))}.npy"
            samples = self._data.of(set_name)
            self._found[key] = map_pictures(samples, spec, file, None, ways[way])
        return self._found[key]

    def classes(self, set_name: str) -> Any:
        """The class numbers of a set."""
        labels = self._data.labels
        return np.array([labels.index(s.label) for s in self._data.of(set_name)], np.int64)


def _again(picture: EncodedPicture, quality: int) -> EncodedPicture:
    pixels = picture.decode()[0]
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return examine_picture(jpeg.tobytes(), picture.name)


def measure(readings: Readings, spec: InputSpec, settings: Any, labels: int) -> dict[str, Any]:
    """Trains one network and measures it in every path."""
    started = time.monotonic()
    reduced = spec.decoding is not None and spec.decoding.smallest_multiple is not None
    train, held = (
        LabelledArrays(
            readings.of(name, "rule", spec),
            readings.classes(name),
            varied=readings.of(name, "varied", spec) if reduced and name == "train" else None,
        )
        for name in ("train", "validation")
    )
    model, _history = fit(settings, train, held, labels, Silent())
    seconds = time.monotonic() - started

    def scores(set_name: str, way: str, by: InputSpec) -> Any:
        return 1 - probabilities(model, None, readings.of(set_name, way, by))[:, 0]

    at = thresholds_for(scores("validation", "rule", spec), held.classes > 0)
    bad = readings.classes("test") > 0
    found: dict[str, Any] = {"seconds": round(seconds, 1)}
    own = scores("test", "rule", spec)
    for name, given in (
        ("own", own),
        ("whole", scores("test", "rule", whole(spec))),
        ("raw", scores("test", "raw", spec)),
        ("quality 70", scores("test", "quality 70", spec)),
    ):
        found[name] = {
            "auroc": auroc(given, bad),
            "false_reject": float(np.mean(given[~bad] >= at.reject_at)),
            "escape": float(np.mean(given[bad] < at.review_from)),
            "mean_change": float(np.mean(np.abs(given - own))),
        }
    print(json.dumps({"rule": str(spec.decoding), "seed": settings.seed, **found}), flush=True)
    return found


def main() -> None:
    """Trains, measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--network", default="compact")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--frozen", action="store_true", help="fit the last layer only")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--multiples", default="1.33,1.5,2")
    parser.add_argument("--size", help="WIDTHxHEIGHT")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    data = load_dataset(args.dataset)
    settings = default_settings(args.network).replace(
        side=args.side, epochs=args.epochs, tune=not args.frozen
    )
    plain = input_for(settings)
    with tempfile.TemporaryDirectory() as folder:
        if args.size:
            width, height = (int(n) for n in args.size.split("x"))
            data = enlarged(data, (width, height), Path(folder))
        rules: dict[tuple[int, ...], tuple[str, InputSpec]] = {(): ("whole", whole(plain))}
        for text in args.multiples.split(","):
            rule = DecodingRule(smallest_multiple=float(text), luma=plain.colour == "grey")
            spec = plain.replace(decoding=rule)
            by = tuple(divisors(data, spec))
            share = sum(n > 1 for n in by) / len(by)
            print(f"{text}: {share:.0%} of {len(by)} reduced, {dict(sorted(_counts(by).items()))}")
            if share:
                name = f"{rules[by][0]} and {text}" if by in rules else text
                rules[by] = name, spec
        rows: dict[str, list[dict[str, Any]]] = {}
        for seed in range(args.seeds):
            paths = {sample.file: sample.path for sample in data.samples}
            samples = load_dataset(args.dataset, seed=seed).samples
            split = replace(data, samples=tuple(replace(s, path=paths[s.file]) for s in samples))
            readings = Readings(split, Path(folder), seed)
            for name, spec in rules.values():
                chosen = settings.replace(seed=seed)
                found = measure(readings, spec, chosen, len(data.labels))
                rows.setdefault(name, []).append(found)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def _counts(by: tuple[int, ...]) -> dict[str, int]:
    return {f"1/{n}": by.count(n) for n in set(by)}


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """A row for each rule and path: means over the seeds."""
    lines = [
        "| rule | path | AUROC of each seed | mean | false rejects | escapes | score moves by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        for way in ("own", "whole", "raw", "quality 70"):
            each = [one[way] for one in found]
            means = {key: statistics.mean(one[key] for one in each) for key in each[0]}
            seeds = ", ".join(f"{one['auroc']:.4f}" for one in each)
            lines.append(
                f"| {name} | {way} | {seeds} | {means['auroc']:.4f} | {means['false_reject']:.3f} "
                f"| {means['escape']:.3f} | {means['mean_change']:.4f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Chooses the decoding rule of a network: JPEGs at reduced scale where that costs no accuracy.

The rule is part of the model's preprocessing (docs/decisions/0051-decoding-rule.md).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import PictureError
from edge.core.image import EncodedPicture, open_picture
from edge.core.view import ViewConfig
from edge.inspection import DecodingRule, InputSpec, ViewCrop, jpeg_decoding, model_input
from trainer.data import LabelledArrays, Sample, map_pictures
from trainer.data.varied_decoding import as_jpeg
from trainer.evaluation import auroc
from trainer.networks import probabilities

SMALLEST_MULTIPLE = 1.5  # of the input's sides
MAX_AUROC_LOSS = 0.003  # of the validation set, from whole to reduced
MIN_REDUCED = 20  # validation pictures; fewer prove nothing
TIMED = 5

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class DecodingChoice:
    """The input with its decoding rule, and the reason in a sentence."""

    input: InputSpec
    reason: str


def whole(spec: InputSpec) -> InputSpec:
    """The input with whole JPEGs; a grey network needs their luma only."""
    rule = DecodingRule(luma=True) if spec.colour == "grey" else None
    return spec.replace(decoding=rule)


def rule_to_try(
    spec: InputSpec, samples: Sequence[Sample], asked: Literal["auto", "whole"]
) -> DecodingChoice:
    """The reduced rule when it would reduce enough of `samples`, the validation set."""
    if asked == "whole":
        return DecodingChoice(whole(spec), "JPEGs are decoded whole, as asked")
    rule = DecodingRule(smallest_multiple=SMALLEST_MULTIPLE, luma=spec.colour == "grey")
    reduced = spec.replace(decoding=rule)
    crop, count = ViewCrop(spec.view or ViewConfig()), 0
    for sample in samples:
        try:
            header = open_picture(sample.path).header
        except PictureError:
            continue  # the reading reports it
        count += jpeg_decoding(header.width, header.height, crop, reduced).reduction > 1
    if count >= MIN_REDUCED:
        return DecodingChoice(reduced, f"{count} of {len(samples)} validation pictures")
    return DecodingChoice(
        whole(spec),
        f"JPEGs are decoded whole: {count} of {len(samples)} validation pictures are large enough "
        f"to be reduced, at least {MIN_REDUCED} are needed",
    )


def choose_rule(
    tried: DecodingChoice,
    model: Any,
    samples: Sequence[Sample],
    held_out: LabelledArrays,
    *,
    folder: Path,
    progress: Progress | None = None,
) -> DecodingChoice:
    """The reduced rule when the network ranks the validation pictures with it as with whole ones.

    Both read the same JPEGs; a picture that is none becomes one. `folder` is for files.
    """
    both = [
        _auroc(
            model,
            samples,
            spec,
            held_out,
            file=folder / f"decoding-{name}.npy",
            progress=progress,
        )
        for name, spec in (("reduced", tried.input), ("whole", whole(tried.input)))
    ]
    reduced, full = both
    figures = f"validation AUROC {reduced:.4f}, whole {full:.4f}"
    if reduced >= full - MAX_AUROC_LOSS:
        return DecodingChoice(
            tried.input,
            f"JPEGs are decoded at the smallest scale that leaves {SMALLEST_MULTIPLE:g} × the "
            f"input ({tried.reason}): {figures}",
        )
    middle = as_jpeg(open_picture(samples[len(samples) // 2].path))
    slow, quick = _milliseconds(middle, whole(tried.input)), _milliseconds(middle, tried.input)
    return DecodingChoice(
        whole(tried.input),
        f"JPEGs are decoded whole: at reduced scale the {figures}; that costs {slow:.1f} ms "
        f"instead of {quick:.1f} ms for a JPEG of {middle.header.width}×{middle.header.height} on "
        "this machine",
    )


def _auroc(
    model: Any,
    samples: Sequence[Sample],
    spec: InputSpec,
    held_out: LabelledArrays,
    *,
    file: Path,
    progress: Progress | None,
) -> float:
    def read(_at: int, picture: EncodedPicture) -> NDArray[np.uint8]:
        return model_input(as_jpeg(picture), spec)

    file.unlink(missing_ok=True)  # of a run that was stopped, with another network
    pictures = map_pictures(samples, spec, file, progress, read)
    found = auroc(1 - probabilities(model, None, pictures)[:, 0], held_out.classes > 0)
    file.unlink()
    return found


def _milliseconds(picture: EncodedPicture, spec: InputSpec) -> float:
    """The median time to make the model's input."""
    times = []
    for _ in range(TIMED):
        started = time.perf_counter()
        model_input(picture, spec)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1000

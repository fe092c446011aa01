"""Chooses the input of a network, with reasons: region of interest, size, colour or grey."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError, PictureError
from edge.core.image import read_picture
from edge.inspection import InputSpec, apply_view
from trainer.data import Dataset
from trainer.networks import input_of, network
from trainer.training.settings import TrainingSettings

SURVEYED_PICTURES = 200  # training pictures, spread over all; more add nothing
MIN_COLOUR_DIFFERENCE = 12  # grey levels between channels, above the JPEG noise of grey pictures
MIN_COLOURED_SHARE = 0.02  # of a picture's pixels; a coloured label or lamp covers more
THUMBNAIL_SIDE = 50  # pixels, so that one row or column is 2 % of the picture
STILL_DEVIATION = 3.0  # standard deviation in grey levels, within and across pictures
MAX_REDUCTION = 4.0  # picture pixels an input pixel: a mark one pixel wide keeps a quarter

Colour = Literal["rgb", "grey"]
Region = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PictureSurvey:
    """Properties of a sample of the training pictures.

    - `pictures`: the number of pictures in the sample.
    - `width`, `height`: medians of the region of interest, in pixels.
    - `coloured`: the share of pictures with colour, 0 to 1.
    - `still`: the smallest region, x, y, width, height as fractions of the picture, outside of
      which no pixel changes.
    """

    pictures: int
    width: int
    height: int
    coloured: float
    still: Region


def input_for(settings: TrainingSettings) -> InputSpec:
    """The input of the network. Raises EdgeInspectError for an unsupported colour."""
    spec = input_of(settings.network, settings.side)
    if settings.colour not in (None, spec.colour):
        chosen = network(settings.network)
        if chosen.pretrained_weights and not chosen.any_colour:
            raise EdgeInspectError(
                f"--colour {settings.colour}: the weights that {settings.network} brings expect "
                "three channels (a grey picture is given as three equal ones); leave --colour out, "
                "or take --network pretrained-small or compact"
            )
        channels = 1 if settings.colour == "grey" else 3
        spec = spec.replace(colour=settings.colour, channels=channels)
    return spec.replace(view=settings.view, region=settings.region)


def survey_pictures(data: Dataset, spec: InputSpec) -> PictureSurvey:
    """Surveys training pictures after the view is applied, without unreadable ones."""
    samples = data.of("train")
    rows = np.linspace(0, len(samples) - 1, min(SURVEYED_PICTURES, len(samples))).astype(int)
    sizes, coloured, thumbnails = [], [], []
    for row in rows:
        try:
            pixels = apply_view(read_picture(samples[row].path), spec)
        except PictureError:
            continue  # the audit reports it
        height, width = pixels.shape[:2]
        small = cv2.resize(pixels, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
        spread = np.ptp(small.astype(np.int16), axis=2)
        _, _, w, h = spec.region or (0, 0, 1, 1)
        sizes.append((round(w * width), round(h * height)))
        coloured.append(float(np.mean(spread > MIN_COLOUR_DIFFERENCE)) > MIN_COLOURED_SHARE)
        thumbnails.append(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32))
    median = np.median(np.array(sizes), axis=0) if sizes else np.zeros(2)
    share = float(np.mean(coloured)) if coloured else 0.0
    return PictureSurvey(
        len(sizes), int(median[0]), int(median[1]), share, _changing_region(thumbnails)
    )


def choose_input(
    settings: TrainingSettings, survey: PictureSurvey
) -> tuple[TrainingSettings, tuple[str, ...]]:
    """The settings with a colour, and the reasons for the input in sentences."""
    chosen = network(settings.network)
    reasons = []
    if settings.colour is not None:
        reasons.append(f"colour as asked: {settings.colour}")
    elif chosen.any_colour:
        colour: Colour = "rgb" if survey.coloured > 0 else "grey"
        settings = settings.replace(colour=colour)
        share = (
            f"{survey.coloured:.0%} of {survey.pictures} training pictures looked at have colour"
        )
        reasons.append(f"{'RGB' if colour == 'rgb' else 'grey'}: {share}")
    elif chosen.pretrained_weights:
        reasons.append("RGB: the weights that it brings expect three channels")
    else:
        reasons.append("RGB: as the plain CNN is defined")
    spec = input_for(settings)
    return settings, (*reasons, _size_reason(spec, survey), _region_reason(spec, survey))


def describe_input(spec: InputSpec) -> str:
    """The input in a few words, for a terminal."""
    colour = "RGB" if spec.colour == "rgb" else "grey"
    return f"{spec.width} × {spec.height} pixels, {colour}"


def _size_reason(spec: InputSpec, survey: PictureSurvey) -> str:
    if not survey.width:
        return "no training picture could be read"
    scale = min(survey.width / spec.width, survey.height / spec.height)
    size = f"pictures are {survey.width} × {survey.height}"
    if scale < 1:
        return f"{size}: enlarged {1 / scale:.1f}-fold, all that they show is kept"
    reason = f"{size}: one input pixel is the mean of {scale:.1f} × {scale:.1f} of theirs"
    if scale >= MAX_REDUCTION:
        reason += (
            "; marks thinner than that fade: cut out what matters with --region X,Y,W,H, or try a "
            "larger --side"
        )
    return reason


def _region_reason(spec: InputSpec, survey: PictureSurvey) -> str:
    if spec.region is not None:
        return "region as asked: " + ",".join(f"{value:g}" for value in spec.region)
    if survey.still == (0.0, 0.0, 1.0, 1.0):
        return "the whole picture: no border of it is always the same"
    region = ",".join(f"{value:g}" for value in survey.still)
    return f"the whole picture; its border never changes, --region {region} would leave it out"


def _changing_region(thumbnails: Sequence[NDArray[np.float32]]) -> Region:
    """The smallest region with all changing pixels, in steps of one thumbnail pixel."""
    if len(thumbnails) < 2:
        return 0.0, 0.0, 1.0, 1.0
    stack = np.stack(thumbnails)
    changes = stack.std(axis=0) > STILL_DEVIATION
    across = changes.any(axis=0) | (stack.std(axis=1).mean(axis=0) > STILL_DEVIATION)
    down = changes.any(axis=1) | (stack.std(axis=2).mean(axis=0) > STILL_DEVIATION)
    if not across.any() or not down.any():
        return 0.0, 0.0, 1.0, 1.0
    x, y = int(across.argmax()), int(down.argmax())
    w = THUMBNAIL_SIDE - int(across[::-1].argmax()) - x
    h = THUMBNAIL_SIDE - int(down[::-1].argmax()) - y
    left, top, width, height = (round(value / THUMBNAIL_SIDE, 4) for value in (x, y, w, h))
    return left, top, width, height

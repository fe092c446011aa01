"""What of a picture a network gets to see, and why: region of interest, size, colour or grey."""

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

SURVEYED_PICTURES = 200  # training pictures, spread over all; more would say the same
GREY_LEVELS = 12  # between channels: what JPEG leaves between them in a grey picture
COLOURED = 0.02  # of a picture's pixels; a coloured label or lamp is more
THUMBNAIL = 50  # pixels, so that one row or column is 2 % of the picture
STILL_DEVIATION = 3.0  # grey levels of standard deviation, within and across pictures
MAX_REDUCTION = (
    4.0  # picture pixels in one input pixel; a mark one pixel wide keeps a quarter of itself
)

Colour = Literal["rgb", "grey"]
Region = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PictureSurvey:
    """What some training pictures have in common.

    `width` and `height` are medians in pixels of what the region leaves; `coloured` is the share
    of pictures with colour, 0 to 1; `still` is the region, x, y, width, height as fractions of the
    picture, outside of which nothing ever changes: the whole picture when something does.
    """

    pictures: int
    width: int
    height: int
    coloured: float
    still: Region


def input_for(settings: TrainingSettings) -> InputSpec:
    """The input of the network. Raises EdgeInspectError for an input that it does not support."""
    usual = input_of(settings.network, settings.side)
    if settings.colour not in (None, usual.colour):
        chosen = network(settings.network)
        if chosen.pretrained_weights and not chosen.any_colour:
            raise EdgeInspectError(
                f"--colour {settings.colour}: the weights that {settings.network} brings expect "
                "three channels (a grey picture is given as three equal ones); leave --colour out, "
                "or take --network pretrained-small or compact"
            )
        channels = 1 if settings.colour == "grey" else 3
        usual = usual.replace(colour=settings.colour, channels=channels)
    return usual.replace(view=settings.view, region=settings.region)


def survey_pictures(data: Dataset, wanted: InputSpec) -> PictureSurvey:
    """Looks at training pictures, as the view leaves them; those that cannot be read are passed
    over."""
    samples = data.of("train")
    rows = np.linspace(0, len(samples) - 1, min(SURVEYED_PICTURES, len(samples))).astype(int)
    sizes, coloured, thumbnails = [], [], []
    for row in rows:
        try:
            pixels = apply_view(read_picture(samples[row].path), wanted)
        except PictureError:
            continue  # the audit has said so
        height, width = pixels.shape[:2]
        small = cv2.resize(pixels, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        spread = np.ptp(small.astype(np.int16), axis=2)
        _, _, w, h = wanted.region or (0, 0, 1, 1)
        sizes.append((round(w * width), round(h * height)))
        coloured.append(float(np.mean(spread > GREY_LEVELS)) > COLOURED)
        thumbnails.append(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32))
    middle = np.median(np.array(sizes), axis=0) if sizes else np.zeros(2)
    share = float(np.mean(coloured)) if coloured else 0.0
    return PictureSurvey(len(sizes), int(middle[0]), int(middle[1]), share, _moving(thumbnails))


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
    wanted = input_for(settings)
    return settings, (*reasons, _size(wanted, survey), _place(wanted, survey))


def describe_input(spec: InputSpec) -> str:
    """In a few words, for a terminal."""
    colour = "RGB" if spec.colour == "rgb" else "grey"
    return f"{spec.width} × {spec.height} pixels, {colour}"


def _size(spec: InputSpec, survey: PictureSurvey) -> str:
    if not survey.width:
        return "no training picture could be read"
    scale = min(survey.width / spec.width, survey.height / spec.height)
    what = f"pictures are {survey.width} × {survey.height}"
    if scale < 1:
        return f"{what}: enlarged {1 / scale:.1f}-fold, all that they show is kept"
    reason = f"{what}: one input pixel is the mean of {scale:.1f} × {scale:.1f} of theirs"
    if scale >= MAX_REDUCTION:
        reason += (
            "; marks thinner than that fade: cut out what matters with --region X,Y,W,H, or try a "
            "larger --side"
        )
    return reason


def _place(spec: InputSpec, survey: PictureSurvey) -> str:
    if spec.region is not None:
        return "region as asked: " + ",".join(f"{part:g}" for part in spec.region)
    if survey.still == (0.0, 0.0, 1.0, 1.0):
        return "the whole picture: no border of it is always the same"
    place = ",".join(f"{part:g}" for part in survey.still)
    return f"the whole picture; its border never changes, --region {place} would leave it out"


def _moving(thumbnails: Sequence[NDArray[np.float32]]) -> Region:
    """The smallest region, in steps of one thumbnail row, that holds all that ever changes."""
    if len(thumbnails) < 2:
        return 0.0, 0.0, 1.0, 1.0
    stack = np.stack(thumbnails)
    changes = stack.std(axis=0) > STILL_DEVIATION
    across = changes.any(axis=0) | (stack.std(axis=1).mean(axis=0) > STILL_DEVIATION)
    down = changes.any(axis=1) | (stack.std(axis=2).mean(axis=0) > STILL_DEVIATION)
    if not across.any() or not down.any():
        return 0.0, 0.0, 1.0, 1.0
    x, y = int(across.argmax()), int(down.argmax())
    w, h = THUMBNAIL - int(across[::-1].argmax()) - x, THUMBNAIL - int(down[::-1].argmax()) - y
    left, top, wide, high = (round(part / THUMBNAIL, 4) for part in (x, y, w, h))
    return left, top, wide, high

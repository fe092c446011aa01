"""Turns a picture into the model's input, for training, conversion and the box."""

from typing import Annotated, Any, Literal, Self

import cv2
import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from edge.core.record import Length4, Model
from edge.core.terms import Pixels
from edge.core.view import ViewConfig
from edge.inspection.area_resize import area_resize
from edge.inspection.view_crop import Slices, ViewCrop


class DecodingRule(Model):
    """How JPEGs are decoded for a model: `input.decoding` in inspection.json, from model/2 on.

    - `smallest_multiple`: a JPEG is decoded at the smallest of 1/8, 1/4, 1/2 and 1 that leaves each
      region at least this factor larger than the model's input; None: whole.
    - `luma`: grey levels only.
    - `whole_pixels`: only where all edges stay on whole pixels; for the permission of model/1.
    """

    smallest_multiple: Annotated[float, Field(ge=1, le=16)] | None = None
    luma: bool = False
    whole_pixels: bool = False


class InputSpec(Model):
    """How a picture becomes the model's input tensor: `input` in inspection.json.

    - `view`: how a camera's picture is straightened, in fractions; None: not at all.
    - `region`: x, y, width, height as fractions (0 to 1) of the straightened picture.
    - `decoding`: the rule for JPEGs; None: whole and in colour.

    The steps in order: decoding, view, region, resize, colour, standardisation.
    """

    width: Annotated[int, Field(ge=8, le=1024)]
    height: Annotated[int, Field(ge=8, le=1024)]
    channels: Literal[1, 3] = 3
    colour: Literal["rgb", "grey"] = "rgb"
    resize: Literal["area"] = "area"
    view: ViewConfig | None = None
    region: Annotated[tuple[float, float, float, float], Length4] | None = None
    standardisation: Literal["none", "per_picture"] = "none"
    decoding: DecodingRule | None = None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if (self.colour == "rgb") != (self.channels == 3):
            raise ValueError(f"colour {self.colour} does not go with {self.channels} channels")
        if self.region is not None:
            x, y, w, h = self.region
            if not (0 <= x < 1 and 0 <= y < 1 and 0 < w <= 1 - x + 1e-9 and 0 < h <= 1 - y + 1e-9):
                raise ValueError(f"region {self.region} is not inside the picture (0 to 1)")
        if self.decoding is not None and self.decoding.luma and self.colour != "grey":
            raise ValueError("decoding of luma alone does not go with colour rgb")
        if self.view is not None and (why := self.view.why_no_model_fits()) is not None:
            raise ValueError(why)
        return self

    @model_serializer(mode="wrap")
    def _leave_out(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omits `view` and `decoding` when they are None: older boxes do not know them."""
        values: dict[str, Any] = plain(self)
        for key, value in (("view", self.view), ("decoding", self.decoding)):
            values.pop(key, None)
            if value is not None:
                values[key] = value.to_dict(brief=True)
        return values

    @property
    def reduces(self) -> bool:
        """Whether JPEGs are decoded at reduced scale where they are large enough."""
        return self.decoding is not None and self.decoding.smallest_multiple is not None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the input tensor."""
        return self.height, self.width, self.channels


def preprocess(pixels: Pixels, spec: InputSpec, *, pinned: bool = False) -> Pixels:
    """The model's input from a whole picture; `model_input` of edge/inspection/decoding.py takes a
    file.

    `pixels` is uint8, (height, width, 3), BGR, any size. Returns uint8, `spec.shape`, RGB or
    grey, 0 to 255; the model itself scales to its range. `pinned` rounds the same on every
    processor, but slowly (edge/inspection/area_resize.py). Raises PictureError when the picture
    is too small for the view.
    """
    return to_model_input(apply_view(pixels, spec), spec, pinned=pinned)


def apply_view(pixels: Pixels, spec: InputSpec) -> Pixels:
    """The picture after the model's own view. Input and result are uint8, (height, width, 3), BGR,
    and may share memory. Raises PictureError when the picture is too small."""
    if spec.view is None:
        return pixels
    (picture,) = ViewCrop(spec.view).cut(pixels).values()
    return picture


def to_model_input(pixels: Pixels, spec: InputSpec, *, pinned: bool = False) -> Pixels:
    """The model's input from a picture after the view: the other steps of `preprocess`.

    The daemon calls it directly, because it has already cut the picture by the camera's view.
    `pixels` may be grey, (height, width, 1), for a grey model.
    """
    height, width = pixels.shape[:2]
    pixels = pixels[crop_slices(height, width, spec.region)]
    resized = _resize(pixels, spec.width, spec.height, pinned=pinned)
    if pixels.shape[2] == 1:
        picture = resized.reshape(spec.shape)  # OpenCV drops the axis of one channel
    elif spec.colour == "grey":
        picture = np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2GRAY), np.uint8)[:, :, None]
    else:
        picture = np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB), np.uint8)
    if spec.standardisation == "per_picture":
        picture = _standardise(picture)
    return picture


def crop_slices(
    height: int, width: int, region: tuple[float, float, float, float] | None
) -> Slices:
    """Rows and columns of a region, given in fractions, in a picture of this size in pixels; None:
    the whole picture."""
    x, y, w, h = region or (0.0, 0.0, 1.0, 1.0)
    left, top = min(round(x * width), width - 1), min(round(y * height), height - 1)
    right, bottom = max(left + 1, round((x + w) * width)), max(top + 1, round((y + h) * height))
    return slice(top, min(bottom, height)), slice(left, min(right, width))


def _resize(pixels: Pixels, width: int, height: int, *, pinned: bool) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    # Area averaging uses every pixel, so a thin scratch remains. It cannot enlarge.
    shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
    if shrinks and pinned:
        return area_resize(pixels, width, height)
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)


def _standardise(picture: Pixels) -> Pixels:
    """(x - mean) / (std + 4), clipped at ±5, mapped to 0..255. Removes the exposure."""
    values = picture.astype(np.float32)
    z = (values - values.mean()) / (values.std() + 4.0)
    return np.asarray(np.rint((np.clip(z, -5.0, 5.0) + 5.0) * 25.5), np.uint8)

"""`cameras[].view` in config.yaml: which area of a camera's picture is judged, and its orientation.

This module holds the values only; edge/inspection/view_crop.py transforms the pixels.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from edge.core.record import Items, Length2, Length4, Model, Pattern

Number = Annotated[float, Field(ge=0, le=100_000)]
Rectangle = Annotated[tuple[Number, Number, Number, Number], Length4]
Point = Annotated[tuple[Number, Number], Length2]
Corners = Annotated[tuple[Point, Point, Point, Point], Length4]
RegionName = Annotated[
    str,
    Field(max_length=64),
    Pattern(r"[^/\x00-\x1f]+", "not be empty or hold / or control characters"),
]


class RegionConfig(Model):
    """A named region: x, y, width, height, all as fractions (0 to 1) or all as whole pixels."""

    id: RegionName
    region: Rectangle

    @model_validator(mode="after")
    def _check_region(self) -> Self:
        check_region(self.region)
        return self


class ViewConfig(Model):
    """Steps in this order: perspective, clockwise rotation, mirror, region. Default: no change."""

    perspective: Corners | None = None
    rotate: Literal[0, 90, 180, 270] = 0
    mirror: Literal["none", "horizontal", "vertical"] = "none"
    region: Rectangle | None = None
    regions: Annotated[Items[RegionConfig], Field(max_length=64)] = ()
    verdict: Literal["each", "worst"] = "each"

    @property
    def boxes(self) -> dict[str | None, Rectangle | None]:
        """Regions by name; the only name is None when `regions` is not set."""
        if self.regions:
            return {r.id: r.region for r in self.regions}
        return {None: self.region}

    def why_no_model_fits(self) -> str | None:
        """Why no model can be trained for this view, and the fix; None when one can."""
        if self.regions:
            return (
                "the view has several regions, but a picture of a data set has one label; train on "
                "pictures of one region each, cut beforehand"
            )
        numbers = [*(self.region or ()), *(n for p in self.perspective or () for n in p)]
        if not is_fractions(tuple(numbers)):
            return (
                "the view is in pixels, but a model serves cameras of any size; write it in "
                "fractions: x and width divided by the picture's width, y and height by its height"
            )
        return None

    @property
    def effective_keys(self) -> frozenset[str]:
        """The keys that have an effect with these values."""
        keys = frozenset(type(self).model_fields)
        return keys if self.regions else keys - {"verdict"}

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.region is not None and self.regions:
            raise ValueError("region and regions exclude each other; keep one of them")
        if self.region is not None:
            check_region(self.region)
        names = [r.id for r in self.regions]
        if len(set(names)) < len(names):
            raise ValueError("two regions have the same id; give each its own")
        if self.perspective is not None:
            _check_corners(self.perspective)
        return self

    @model_validator(mode="after")
    def _check_given(self, info: ValidationInfo) -> Self:
        if self.given(info) - self.effective_keys:
            raise ValueError("verdict: each or worst is about regions; add them or remove it")
        return self


def is_fractions(numbers: tuple[float, ...]) -> bool:
    """Whether all numbers are fractions of the picture: 0 to 1."""
    return all(number <= 1 for number in numbers)


def check_region(box: Rectangle) -> None:
    """Raises ValueError for a region that fits no picture."""
    x, y, w, h = box
    if w <= 0 or h <= 0:
        raise ValueError("a region needs a width and a height above 0 (x, y, width, height)")
    if is_fractions(box):
        if x + w > 1 + 1e-9 or y + h > 1 + 1e-9:
            raise ValueError("the region reaches past the picture (x + width, y + height up to 1)")
    elif any(number != int(number) for number in box):
        raise ValueError("a region is all fractions (0 to 1) or all whole pixels, not both")


def _check_corners(corners: Corners) -> None:
    """Raises ValueError unless the corners run clockwise from the top left."""
    for i in range(4):
        (ax, ay), (bx, by), (cx, cy) = corners[i], corners[(i + 1) % 4], corners[(i + 2) % 4]
        if (bx - ax) * (cy - by) - (by - ay) * (cx - bx) <= 0:
            raise ValueError(
                "perspective needs four corners in the order top left, top right, bottom right, "
                "bottom left, none of them inside the others"
            )

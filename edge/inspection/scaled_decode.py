"""The rule that decides at which part of its size a JPEG is decoded.

A JPEG holds blocks of 8×8 pixels as frequencies; leaving the high ones out gives the picture at a
half, a quarter or an eighth of its size for a fraction of the work. Area averaging to the model's
size would have averaged these frequencies away, as long as what is left is no smaller than the
model's input: below that, pictures are enlarged again and verdicts flip. Whether verdicts stay the
same for a model is measured when it is converted, and stands in its file.
"""

from collections.abc import Iterable
from functools import lru_cache

from edge.core.errors import PictureError
from edge.inspection.preprocess import InputSpec, crop_slices
from edge.inspection.view_crop import Slices, ViewCrop

REDUCTIONS = (8, 4, 2)


@lru_cache(maxsize=64)  # asked for every picture, and of a handful of sizes
def reduction(width: int, height: int, framing: ViewCrop, recipe: InputSpec) -> int:
    """By what both sides of a JPEG of `width` × `height` pixels may be divided: the most of 8, 4
    and 2 that leaves every region at least as large as the model's input and cuts it where the
    whole picture would be cut, pixel for pixel; 1: none does. A surface seen at a slant is never
    reduced, nor a picture that the view does not fit: whoever cuts it will say so."""
    if framing.slanted:
        return 1
    try:
        regions = [_recipe_region(one, recipe) for one in framing.slices(width, height).values()]
    except PictureError:
        return 1
    for divisor in REDUCTIONS:
        if width % divisor or height % divisor:
            continue
        if all(_may_be_divided(one, divisor, recipe) for one in regions):
            return divisor
    return 1


def _recipe_region(region: Slices, recipe: InputSpec) -> Slices:
    """What the model's own region leaves of one of the view's."""
    (rows, columns) = region
    if recipe.region is None:
        return region
    inner = crop_slices(rows.stop - rows.start, columns.stop - columns.start, recipe.region)
    return (
        slice(rows.start + inner[0].start, rows.start + inner[0].stop),
        slice(columns.start + inner[1].start, columns.start + inner[1].stop),
    )


def _may_be_divided(region: Slices, divisor: int, recipe: InputSpec) -> bool:
    rows, columns = region
    if any(edge % divisor for edge in _edges(region)):
        return False
    high, wide = (rows.stop - rows.start) // divisor, (columns.stop - columns.start) // divisor
    return bool(high >= recipe.height and wide >= recipe.width)


def _edges(region: Slices) -> Iterable[int]:
    for part in region:
        yield part.start
        yield part.stop

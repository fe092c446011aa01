"""The rule for the scale at which a JPEG is decoded.

A JPEG holds blocks of 8×8 pixels as frequencies. Without the high ones it decodes to a half, a
quarter or an eighth of its size, for a fraction of the work. Area averaging to the model's size
removes these frequencies anyway, if the decoded picture is not smaller than the model's input. The
converter measures whether a model's verdicts stay the same, and notes it in the model file.
"""

from functools import lru_cache

from edge.core.errors import PictureError
from edge.inspection.preprocessing import InputSpec, crop_slices
from edge.inspection.view_crop import Slices, ViewCrop

REDUCTIONS = (8, 4, 2)


@lru_cache(maxsize=64)  # called for every picture, with few sizes
def reduction(width: int, height: int, crop: ViewCrop, spec: InputSpec) -> int:
    """The divisor of both sides of a JPEG of `width` × `height` pixels: 8, 4, 2 or 1.

    It is the largest one that leaves every region at least as large as the model's input and puts
    the region's edges on whole pixels. It is 1 for a view with a perspective, and for a picture
    that the view does not fit: cutting that picture reports the fault.
    """
    if crop.has_perspective:
        return 1
    try:
        regions = [_model_region(one, spec) for one in crop.slices(width, height).values()]
    except PictureError:
        return 1
    for divisor in REDUCTIONS:
        if width % divisor or height % divisor:
            continue
        if all(_may_be_divided(one, divisor, spec) for one in regions):
            return divisor
    return 1


def _model_region(region: Slices, spec: InputSpec) -> Slices:
    """The model's own region within one of the view's regions."""
    if spec.region is None:
        return region
    rows, columns = region
    inner_rows, inner_columns = crop_slices(
        rows.stop - rows.start, columns.stop - columns.start, spec.region
    )
    return (
        slice(rows.start + inner_rows.start, rows.start + inner_rows.stop),
        slice(columns.start + inner_columns.start, columns.start + inner_columns.stop),
    )


def _may_be_divided(region: Slices, divisor: int, spec: InputSpec) -> bool:
    rows, columns = region
    edges = (rows.start, rows.stop, columns.start, columns.stop)
    if any(edge % divisor for edge in edges):
        return False
    height, width = (rows.stop - rows.start) // divisor, (columns.stop - columns.start) // divisor
    return bool(height >= spec.height and width >= spec.width)

"""Decodes a picture file as the model's decoding rule says, and makes the model's input of it.

A JPEG holds blocks of 8×8 pixels as frequencies. Without the high ones it decodes to a half, a
quarter or an eighth of its size, for a fraction of the work. The rule belongs to the model:
training, thresholds, golden pictures and the box all decode here.
Why: docs/decisions/0051-decoding-rule.md
"""

from functools import lru_cache

from edge.core.errors import PictureError
from edge.core.image import EncodedPicture
from edge.core.jpeg import JPEGDecoding
from edge.core.terms import Pixels
from edge.core.view import ViewConfig
from edge.inspection.preprocessing import InputSpec, crop_slices, to_model_input
from edge.inspection.view_crop import ViewCrop

REDUCTIONS = (8, 4, 2)


def model_input(picture: EncodedPicture, spec: InputSpec, *, pinned: bool = False) -> Pixels:
    """The model's input from a picture file, cut by the model's own view: uint8, `spec.shape`.

    `pinned`: as in `preprocess`. Raises PictureError.
    """
    crop = ViewCrop(spec.view or ViewConfig())
    pixels, reduced = decode(picture, crop, spec)
    (region,) = crop.cut(pixels, reduced).values()
    return to_model_input(region, spec, pinned=pinned)


def decode(picture: EncodedPicture, crop: ViewCrop, spec: InputSpec) -> tuple[Pixels, int]:
    """Decodes a picture as the model's rule says. Returns the pixels, uint8, (height, width, 3),
    BGR, or (height, width, 1), grey, and the divisor of both sides. Raises PictureError."""
    header = picture.header
    return picture.decode(jpeg_decoding(header.width, header.height, crop, spec))


@lru_cache(maxsize=64)  # called for every picture, with few sizes
def jpeg_decoding(width: int, height: int, crop: ViewCrop, spec: InputSpec) -> JPEGDecoding:
    """How a JPEG of `width` × `height` pixels is decoded.

    The divisor is the largest that leaves every region at least `smallest_multiple` times as large
    as the model's input. It is 1 for a picture that the view does not fit: cutting that picture
    reports the fault.
    """
    rule = spec.decoding
    if rule is None:
        return JPEGDecoding()
    for divisor in REDUCTIONS if rule.smallest_multiple is not None else ():
        if rule.whole_pixels and not _edges_are_multiples(width, height, crop, spec, divisor):
            continue
        if _multiple(width, height, crop, spec, divisor) >= (rule.smallest_multiple or 0):
            return JPEGDecoding(divisor, rule.luma)
    return JPEGDecoding(1, rule.luma)


def _multiple(width: int, height: int, crop: ViewCrop, spec: InputSpec, divisor: int) -> float:
    """The least size of a region in units of the model's input, both sides divided."""
    regions = _regions(-(-width // divisor), -(-height // divisor), crop, spec, divisor)
    sides = [(bottom - top) / spec.height for top, bottom, _, _ in regions]
    sides += [(right - left) / spec.width for _, _, left, right in regions]
    return min(sides) * crop.least_scale(width, height) if sides else 0.0


def _edges_are_multiples(
    width: int, height: int, crop: ViewCrop, spec: InputSpec, divisor: int
) -> bool:
    """Whether model/1 would reduce: no perspective, all edges on whole pixels afterwards."""
    if crop.has_perspective or width % divisor or height % divisor:
        return False
    regions = _regions(width, height, crop, spec)
    return not any(edge % divisor for edges in regions for edge in edges)


def _regions(
    width: int, height: int, crop: ViewCrop, spec: InputSpec, reduced: int = 1
) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of the model's own region within each of the view's; none when
    the view does not fit."""
    try:
        found = crop.slices(width, height, reduced).values()
    except PictureError:
        return []
    regions = []
    for rows, columns in found:
        y, x = crop_slices(rows.stop - rows.start, columns.stop - columns.start, spec.region)
        top, left = rows.start, columns.start
        regions.append((top + y.start, top + y.stop, left + x.start, left + x.stop))
    return regions

"""Cutting the judged regions out of a camera's picture."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core.errors import PictureError
from edge.core.validation import ValidationError
from edge.core.view import ViewConfig
from edge.inspection.view_crop import ViewCrop


def crop(**view: Any) -> ViewCrop:
    """The crop of a view."""
    return ViewCrop(ViewConfig.read(view))


def numbered(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """Every pixel holds its place: B is its column, G its row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return pixels


def one(view: ViewCrop, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The one picture of a view."""
    (picture,) = view.cut(pixels).values()
    return picture


def test_no_view_changes_nothing_and_copies_nothing() -> None:
    """Without a view the picture stays as it is."""
    pixels = numbered()
    picture = one(crop(), pixels)
    assert np.array_equal(picture, pixels)
    assert np.shares_memory(picture, pixels)


@pytest.mark.parametrize("region", [[10, 4, 30, 20], [1 / 6, 0.1, 0.5, 0.5]])
def test_a_region_is_pixels_or_fractions(region: list[float]) -> None:
    """The same region, in pixels and in fractions of 60×40."""
    picture = one(crop(region=region), numbered())
    assert picture.shape == (20, 30, 3)
    assert picture[0, 0].tolist() == [10, 4, 0]
    assert picture[-1, -1].tolist() == [39, 23, 0]


@pytest.mark.parametrize(
    ("rotate", "shape", "first"),
    [(90, (60, 40, 3), [0, 39]), (180, (40, 60, 3), [59, 39]), (270, (60, 40, 3), [59, 0])],
)
def test_rotation_is_clockwise(rotate: int, shape: Any, first: list[int]) -> None:
    """Turned clockwise, the picture's top left is what was bottom left at 90°."""
    picture = one(crop(rotate=rotate), numbered())
    assert picture.shape == shape
    assert picture[0, 0, :2].tolist() == first


def test_mirrors() -> None:
    """Horizontal swaps left and right, vertical top and bottom."""
    assert one(crop(mirror="horizontal"), numbered())[0, 0, :2].tolist() == [59, 0]
    assert one(crop(mirror="vertical"), numbered())[0, 0, :2].tolist() == [0, 39]


def test_the_region_is_cut_from_what_was_turned() -> None:
    """Perspective, rotation, mirror, region: in this order."""
    picture = one(crop(rotate=90, mirror="horizontal", region=[0, 0, 10, 8]), numbered())
    turned = np.rot90(numbered(), -1)[:, ::-1]
    assert np.array_equal(picture, turned[:8, :10])


@pytest.mark.parametrize("fractions", [True, False])
def test_perspective_straightens(fractions: bool) -> None:
    """A quadrilateral of the picture becomes an upright rectangle with its corners in order."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    corners = [[50, 20], [150, 20], [180, 80], [20, 80]]
    import cv2

    cv2.fillConvexPoly(pixels, np.array(corners), (255, 255, 255))
    points = [[x / 200, y / 100] for x, y in corners] if fractions else corners
    picture = one(crop(perspective=points), pixels)
    assert picture.shape[1] == 160  # the longer of top and bottom
    assert picture[3:-3, 3:-3].min() == 255
    assert pixels.mean() < 150


def test_perspective_of_the_whole_is_the_whole() -> None:
    """The picture's own corners change nothing."""
    view = crop(perspective=[[0, 0], [1, 0], [1, 1], [0, 1]])
    assert np.abs(one(view, numbered()).astype(int) - numbered()).max() <= 1


def test_regions_have_their_names() -> None:
    """Several regions come in their order, each under its name."""
    regions = [{"id": "left", "region": [0, 0, 0.5, 1]}, {"id": "right", "region": [30, 0, 30, 40]}]
    view = crop(regions=regions)
    cut = view.cut(numbered())
    assert view.regions == ("left", "right") == tuple(cut)
    assert cut["right"][0, 0].tolist() == [30, 0, 0]


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"region": [0, 0, 100, 40]}, "view.region reaches to 100,40, outside the picture of"),
        ({"region": [0, 0, 0.01, 1]}, "view.region is only 1×40 pixels"),
        ({"rotate": 90, "region": [0, 0, 60, 40]}, "outside the picture of 40×60"),
        ({"perspective": [[0, 0], [99, 0], [99, 40], [0, 40]]}, "corner outside the picture"),
        ({"regions": [{"id": "a", "region": [0, 0, 61, 9]}]}, "view.regions 'a' reaches to 61,9"),
    ],
)
def test_a_view_that_does_not_fit_is_one_sentence(view: dict[str, Any], words: str) -> None:
    """A region outside the frame is a fault with key, size and fix, never a smaller region."""
    for refuses in (
        lambda: crop(**view).slices(60, 40),
        lambda: crop(**view).cut(numbered()),
    ):
        with pytest.raises(PictureError, match=words):
            refuses()


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"region": [0.5, 0, 0.6, 1]}, "reaches past the picture"),
        ({"region": [0, 0, 0, 1]}, "width and a height above 0"),
        ({"region": [0.5, 0, 100, 40]}, "all fractions .* or all whole pixels"),
        ({"region": [0, 0, 1]}, "region"),
        ({"rotate": 45}, "rotate"),
        ({"region": [0, 0, 1, 1], "regions": [{"id": "a", "region": [0, 0, 1, 1]}]}, "exclude"),
        ({"regions": [{"id": "a", "region": [0, 0, 1, 1]}] * 2}, "same id"),
        ({"verdict": "worst"}, "about regions"),
        ({"perspective": [[0, 0], [0, 1], [1, 1], [1, 0]]}, "in the order top left"),
        ({"perspective": [[0, 0], [1, 0], [0.2, 0.2], [0, 1]]}, "in the order top left"),
    ],
)
def test_a_view_that_no_picture_has_is_refused(view: dict[str, Any], words: str) -> None:
    """A view that fits no frame size is an error of config.yaml."""
    with pytest.raises(ValidationError, match=words):
        ViewConfig.read(view)


@given(
    st.tuples(*[st.floats(0, 1)] * 4).filter(lambda b: b[0] + b[2] <= 1 and b[1] + b[3] <= 1),
    st.sampled_from([0, 90, 180, 270]),
    st.integers(8, 70),
    st.integers(8, 70),
)
def test_every_fraction_is_inside_every_picture(
    box: tuple[float, float, float, float], rotate: int, height: int, width: int
) -> None:
    """A region in fractions is a region of any picture, or is too small; it is never empty."""
    if box[2] == 0 or box[3] == 0:
        return
    view = crop(region=list(box), rotate=rotate)
    try:
        picture = one(view, numbered(height, width))
    except PictureError as error:
        too_small = "is only" in str(error)
    else:
        too_small = False
        assert min(picture.shape[:2]) >= 8
        assert max(picture.shape[:2]) <= max(height, width)
    turned = (height, width) if rotate in (90, 270) else (width, height)
    if too_small:
        assert min(box[2] * turned[0], box[3] * turned[1]) < 9

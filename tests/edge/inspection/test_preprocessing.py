"""The one preprocessing: region, resize, colour, standardisation, in this order."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core.validation import ValidationError
from edge.inspection.preprocessing import InputSpec, preprocess

RNG = np.random.default_rng(11)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    """BGR noise."""
    return RNG.integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_red_comes_first() -> None:
    """A camera's BGR becomes RGB: a red picture is red in channel 0."""
    red = np.zeros((32, 32, 3), np.uint8)
    red[:, :, 2] = 200
    picture = preprocess(red, InputSpec(width=16, height=16))
    assert picture[0, 0].tolist() == [200, 0, 0]


def test_colour_is_swapped_without_a_resize_too() -> None:
    """A picture of the right size already is still brought from BGR to RGB."""
    pixels = noise(16, 16)
    picture = preprocess(pixels, InputSpec(width=16, height=16))
    assert np.array_equal(picture, pixels[:, :, ::-1])


def test_shrinking_averages_every_pixel() -> None:
    """A thin line that falls between the pixels of other resize methods is not lost."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::4] = 200  # one column in four: nearest sees all or nothing, linear nothing
    picture = preprocess(pixels, InputSpec(width=16, height=16))
    assert (picture == 50).all()
    for other in (cv2.INTER_NEAREST, cv2.INTER_LINEAR):
        assert not (cv2.resize(pixels, (16, 16), interpolation=other) == 50).any()


@given(st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_shrinking_by_whole_numbers_is_the_mean(down: int, across: int) -> None:
    """Area averaging by whole numbers is the mean of each block."""
    pixels = noise(8 * down, 8 * across)
    means = pixels.reshape(8, down, 8, across, 3).mean(axis=(1, 3))[:, :, ::-1]
    picture = preprocess(pixels, InputSpec(width=8, height=8))
    assert np.abs(picture - means).max() <= 1


def test_enlarging_is_smooth() -> None:
    """A picture smaller than the input is enlarged with values between its own."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = 200
    picture = preprocess(pixels, InputSpec(width=64, height=64))
    assert len(np.unique(picture)) > 2


def test_region_is_cut_before_the_resize() -> None:
    """Only the region's pixels reach the model."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[10:30, 20:60] = 120
    spec = InputSpec(width=16, height=16, region=(0.25, 0.25, 0.5, 0.5))
    assert (preprocess(pixels, spec) == 120).all()


def test_grey_weighs_colours_as_eyes_do() -> None:
    """Grey is 0.299 R + 0.587 G + 0.114 B in one channel."""
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    picture = preprocess(pixels, InputSpec(width=8, height=8, channels=1, colour="grey"))
    assert picture.shape == (8, 8, 1)
    assert abs(int(picture[0, 0, 0]) - (0.114 * 200 + 0.587 * 100 + 0.299 * 50)) <= 1


def test_standardisation_takes_exposure_out() -> None:
    """A picture of half the brightness gives nearly the same input; a flat one the middle."""
    spec = InputSpec(width=16, height=16, standardisation="per_picture")
    ramp = np.repeat(np.linspace(20, 240, 16, dtype=np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    bright, dark = preprocess(ramp, spec), preprocess(ramp // 2, spec)
    assert np.abs(bright.astype(int) - dark).max() <= 4
    assert set(np.unique(preprocess(np.full((16, 16, 3), 77, np.uint8), spec))) == {128}


SPECS = st.builds(
    InputSpec,
    width=st.integers(8, 64),
    height=st.integers(8, 64),
    region=st.none() | st.just((0.1, 0.2, 0.5, 0.3)) | st.just((0.999, 0.999, 0.001, 0.001)),
    standardisation=st.sampled_from(["none", "per_picture"]),
)


@given(SPECS, st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=80, deadline=None)
def test_any_picture_becomes_the_models_shape(spec: InputSpec, height: int, width: int) -> None:
    """Whatever size comes in, `spec.shape` of uint8 goes out, and the frame is not changed."""
    pixels = noise(height, width)
    before = pixels.copy()
    picture = preprocess(pixels, spec)
    assert picture.shape == spec.shape
    assert picture.dtype == np.uint8
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 4},
        {"height": 4096},
        {"channels": 1},
        {"colour": "grey"},
        {"colour": "bgr"},
        {"resize": "nearest"},
        {"region": (0.5, 0, 0.6, 1)},
        {"region": (-0.1, 0, 0.5, 1)},
        {"region": (0, 0, 0, 1)},
        {"region": (float("nan"), 0, 1, 1)},
        {"standardisation": "yes"},
        {"scale": 255},
    ],
)
def test_recipe_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    """An input spec with an unknown step, or a region outside the picture, is refused."""
    with pytest.raises(ValidationError):
        InputSpec.read({"width": 16, "height": 16, **wrong})

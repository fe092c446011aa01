"""At which part of its size a JPEG is decoded, and what is cut out of it then."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from edge.inspection.scaled_decode import reduction
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core.image import examine_picture
from edge.core.view import ViewConfig
from edge.inspection.inspector import Inspector, load_inspector
from edge.inspection.preprocessing import InputSpec, to_model_input
from edge.inspection.view_crop import ViewCrop
from tests.edge.inspection.conftest import Repack

Pixels = NDArray[np.uint8]


def crop(**view: Any) -> ViewCrop:
    """The crop of a view."""
    return ViewCrop(ViewConfig.read(view))


def input_spec(side: int = 64, **more: Any) -> InputSpec:
    """An input spec with a square input."""
    return InputSpec(width=side, height=side, **more)


def scene(height: int, width: int) -> Pixels:
    """A picture with structure of all sizes, the same each time."""
    rng = np.random.default_rng(height * 10_000 + width)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64):
        coarse = rng.uniform(0, 80, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, quality: int = 92) -> bytes:
    """A picture as a camera sends it."""
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


@pytest.mark.parametrize(
    ("width", "height", "side", "wanted"),
    [
        (1920, 1080, 64, 8),  # 240×135 is left
        (1920, 1080, 135, 8),  # exactly as high as the model's input
        (1920, 1080, 136, 4),  # an eighth would have to be enlarged
        (640, 480, 64, 4),  # 80×60 would be too low
        (300, 300, 64, 4),  # 300 is no multiple of 8
        (301, 300, 64, 1),  # nor 301 of anything
        (128, 128, 128, 1),
        (60, 60, 64, 1),  # too small already
    ],
)
def test_the_most_that_leaves_enough(width: int, height: int, side: int, wanted: int) -> None:
    """The greatest divisor of both sides that leaves no less than the model's input."""
    assert reduction(width, height, crop(), input_spec(side)) == wanted


def test_regions_decide_not_the_picture() -> None:
    """What is judged must be large enough, whatever lies around it, and so must the smallest of
    several regions."""
    assert reduction(1920, 1080, crop(region=(480, 0, 512, 512)), input_spec()) == 8
    assert reduction(1920, 1080, crop(region=(480, 0, 256, 512)), input_spec()) == 4
    both = [
        {"id": "a", "region": (0, 0, 960, 960)},
        {"id": "b", "region": (960, 0, 128, 960)},
    ]
    assert reduction(1920, 1080, crop(regions=both), input_spec()) == 2


def test_the_models_own_region_counts_too() -> None:
    """An input spec that takes the middle half of the picture needs twice the picture."""
    half = (0.25, 0.25, 0.5, 0.5)
    assert reduction(1024, 1024, crop(), input_spec()) == 8
    assert reduction(1024, 1024, crop(), input_spec(65, region=half)) == 4


def test_edges_that_do_not_come_out_even_are_not_moved() -> None:
    """A region whose edge lies between two pixels of the reduced picture is not reduced:
    with a smaller divisor, or none."""
    assert reduction(1920, 1080, crop(region=(4, 0, 1000, 1000)), input_spec()) == 4
    assert reduction(1920, 1080, crop(region=(1, 0, 1000, 1000)), input_spec()) == 1


def test_a_view_with_perspective_is_never_reduced() -> None:
    """Straightening needs the pixels that a reduced picture lacks."""
    corners = ((0.1, 0.1), (0.9, 0.1), (1, 1), (0, 1))
    assert reduction(1920, 1080, crop(perspective=corners), input_spec()) == 1


def test_a_view_that_does_not_fit_is_for_others_to_tell() -> None:
    """The rule gives 1; cutting reports the fault."""
    assert reduction(640, 480, crop(region=(600, 0, 100, 100)), input_spec()) == 1


@given(
    st.sampled_from([0, 90, 180, 270]),
    st.sampled_from(["none", "horizontal", "vertical"]),
    st.tuples(st.integers(0, 30), st.integers(0, 20), st.integers(8, 50), st.integers(8, 40)),
    st.sampled_from([2, 4, 8]),
)
def test_the_same_place_is_cut(
    turn: int, mirror: str, box: tuple[int, int, int, int], by: int
) -> None:
    """For any view the reduced picture is cut at the same place as the whole one."""
    x, y, w, h = (n * by for n in box)
    width, height = 84 * by, 64 * by
    if turn in (90, 270):
        x, y, w, h = y, x, h, w
    view = crop(rotate=turn, mirror=mirror, region=(x, y, w, h))
    small = np.random.default_rng(5).integers(0, 256, (64, 84, 3), np.uint8)
    large = small.repeat(by, axis=0).repeat(by, axis=1)
    assert large.shape == (height, width, 3)
    (whole,) = view.cut(large).values()
    (reduced,) = view.cut(small, by).values()
    assert np.array_equal(whole, reduced.repeat(by, axis=0).repeat(by, axis=1))


@pytest.mark.parametrize("by", [2, 4, 8])
@pytest.mark.parametrize("region", [None, (0.25, 0.25, 0.5, 0.5)])
def test_reduced_and_whole_look_alike_to_the_model(
    by: int, region: tuple[float, float, float, float] | None
) -> None:
    """The model's input from a large picture is the same within a few grey levels."""
    picture = examine_picture(jpeg(scene(1024, 1280)), "a.jpg")
    spec = input_spec(64, region=region)
    whole = to_model_input(picture.decode()[0], spec)
    pixels, reduced = picture.decode(by)
    assert reduced == by
    assert pixels.shape == (1024 // by, 1280 // by, 3)
    difference = to_model_input(pixels, spec, reduced=by).astype(int) - whole
    assert np.abs(difference).mean() < 1
    assert np.abs(difference).max() <= 6


def test_a_jpeg_that_is_turned_by_its_exif_is_not_cut_elsewhere() -> None:
    """Its header holds the sides before the rotation: it is decoded whole."""
    plain = jpeg(scene(512, 1024))
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    pixels, reduced = examine_picture(turned, "a.jpg").decode(4)
    assert (pixels.shape, reduced) == ((1024, 512, 3), 1)


def test_only_a_jpeg_is_reduced() -> None:
    """Only JPEGs are reduced."""
    done, data = cv2.imencode(".png", scene(512, 512))
    assert done
    pixels, reduced = examine_picture(data.tobytes(), "a.png").decode(8)
    assert (pixels.shape, reduced) == ((512, 512, 3), 1)


def allowed(repack: Repack, **more: Any) -> Inspector:
    """The redness model with reduced decoding."""
    return load_inspector(repack(spec={"decoding": "reduced", **more}))


def test_the_model_file_says_whether(repack: Repack) -> None:
    """A file that does not allow it is given whole pictures; one that does says so, and older
    boxes do not get unknown keys."""
    picture = examine_picture(jpeg(scene(512, 512)), "a.jpg")
    assert load_inspector(repack()).decode(picture, crop())[1] == 1
    assert b'"decoding"' not in _inspection(repack())
    one = allowed(repack)
    assert one.decoding == "reduced"
    assert one.decode(picture, crop())[1] == 8
    assert replace(one, decoding="whole").decode(picture, crop())[1] == 1


def _inspection(path: Any) -> bytes:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return archive.read("inspection.json")


class AlternatingClassifier:
    """A model whose answers alternate."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, picture: Pixels) -> NDArray[np.float32]:
        """Classifies."""
        self.calls += 1
        return np.array([0, 9 if self.calls % 2 else -9], np.float32)

    def clone(self) -> "AlternatingClassifier":
        """The same."""
        return AlternatingClassifier()


def test_golden_pictures_are_judged_both_ways(repack: Repack) -> None:
    """A golden JPEG whose verdict changes at reduced scale is named."""
    golden = jpeg(np.full((512, 512, 3), 90, np.uint8))
    one = allowed(repack)
    assert one.file.spec is not None
    files = {entry.file: golden for entry in one.file.spec.golden}
    same = replace(one, file=replace(one.file, golden=files))
    assert same.reduced_decode_conflict() is None

    conflict = replace(same, classify=AlternatingClassifier()).reduced_decode_conflict()
    assert conflict is not None
    assert "fail" in conflict
    assert "pass" in conflict

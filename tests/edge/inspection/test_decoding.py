"""At which part of its size a JPEG is decoded, and what is cut out of it then."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core.errors import RefusedError
from edge.core.image import examine_picture
from edge.core.jpeg import JPEGDecoding
from edge.core.view import ViewConfig
from edge.inspection.decoding import jpeg_decoding, model_input
from edge.inspection.inspector import load_inspector
from edge.inspection.model_file import SCHEMA_WITH_RULE
from edge.inspection.preprocessing import DecodingRule, InputSpec, preprocess, to_model_input
from edge.inspection.view_crop import ViewCrop
from tests.edge.inspection.conftest import Repack

Pixels = NDArray[np.uint8]
RULE = DecodingRule(smallest_multiple=1.5)
RULED = InputSpec(width=16, height=16, decoding=RULE)  # of the redness model
WITH_RULE = {"input": RULED, "schema_": SCHEMA_WITH_RULE}


def crop(**view: Any) -> ViewCrop:
    """The crop of a view."""
    return ViewCrop(ViewConfig.read(view))


def input_spec(side: int = 64, **more: Any) -> InputSpec:
    """An input spec with a square input and the usual rule."""
    return InputSpec(width=side, height=side, **{"decoding": RULE, **more})


def scene(height: int, width: int, sizes: tuple[int, ...] = (4, 16, 64)) -> Pixels:
    """A picture with structure of all sizes, the same each time."""
    rng = np.random.default_rng(height * 10_000 + width)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in sizes:
        coarse = rng.uniform(0, 80, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpeg(pixels: Pixels, quality: int = 92) -> bytes:
    """A picture as a camera sends it."""
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def reduction(width: int, height: int, view: ViewCrop, spec: InputSpec) -> int:
    """The divisor of both sides."""
    return jpeg_decoding(width, height, view, spec).reduction


@pytest.mark.parametrize(
    ("width", "height", "side", "wanted"),
    [
        (1920, 1080, 64, 8),  # 240×135 is left
        (1920, 1080, 90, 8),  # exactly 1.5 times the model's input
        (1920, 1080, 91, 4),
        (640, 480, 64, 4),
        (640, 380, 64, 2),  # 95 is less than 96
        (301, 301, 64, 2),  # 151 is left, rounded up
        (383, 383, 64, 4),  # 96 is left, rounded up
        (128, 128, 128, 1),
        (60, 60, 64, 1),  # too small already
    ],
)
def test_the_most_that_leaves_the_multiple(width: int, height: int, side: int, wanted: int) -> None:
    """The greatest divisor that leaves 1.5 times the model's input, for odd sides as well."""
    assert reduction(width, height, crop(), input_spec(side)) == wanted


def test_without_a_rule_jpegs_are_whole_and_in_colour() -> None:
    """A plain model, and a file of model/1."""
    spec = input_spec(decoding=None)
    assert jpeg_decoding(1920, 1080, crop(), spec) == JPEGDecoding(1, luma=False)


def test_grey_models_need_the_luma_only() -> None:
    """Whole or reduced; a model of colours must not ask for it."""
    grey: dict[str, Any] = {"colour": "grey", "channels": 1}
    whole = input_spec(**grey, decoding=DecodingRule(luma=True))
    assert jpeg_decoding(1920, 1080, crop(), whole) == JPEGDecoding(1, luma=True)
    rule = DecodingRule(smallest_multiple=1.5, luma=True)
    assert jpeg_decoding(1920, 1080, crop(), input_spec(**grey, decoding=rule)) == JPEGDecoding(
        8, luma=True
    )
    with pytest.raises(ValueError, match="luma"):
        input_spec(decoding=rule)


def test_regions_decide_not_the_picture() -> None:
    """What is judged must be large enough, whatever lies around it, and so must the smallest of
    several regions."""
    assert reduction(1920, 1080, crop(region=(480, 0, 768, 768)), input_spec()) == 8
    assert reduction(1920, 1080, crop(region=(480, 0, 390, 768)), input_spec()) == 4
    both = [
        {"id": "a", "region": (0, 0, 960, 960)},
        {"id": "b", "region": (960, 0, 196, 960)},
    ]
    assert reduction(1920, 1080, crop(regions=both), input_spec()) == 2


def test_the_models_own_region_counts_too() -> None:
    """An input spec that takes the middle half of the picture needs twice the picture."""
    half = (0.25, 0.25, 0.5, 0.5)
    assert reduction(1024, 1024, crop(), input_spec()) == 8
    assert reduction(1024, 1024, crop(), input_spec(64, region=half)) == 4


def test_the_far_end_of_a_perspective_decides() -> None:
    """Straightening enlarges it, so it must be large enough before."""
    near = ((0.1, 0.1), (0.9, 0.1), (1, 1), (0, 1))
    assert reduction(1920, 1080, crop(perspective=near), input_spec()) == 8
    far = ((0.4, 0.1), (0.6, 0.1), (1, 1), (0, 1))
    assert reduction(1920, 1080, crop(perspective=far), input_spec()) == 2


def test_a_view_that_does_not_fit_is_for_others_to_tell() -> None:
    """The rule gives 1; cutting reports the fault."""
    assert reduction(640, 480, crop(region=(600, 0, 100, 100)), input_spec()) == 1


@pytest.mark.parametrize(
    ("width", "height", "view", "wanted"),
    [
        (1920, 1080, {}, 8),
        (300, 300, {}, 4),  # 300 is no multiple of 8
        (301, 300, {}, 1),
        (1920, 1080, {"region": (4, 0, 1000, 1000)}, 4),
        (1920, 1080, {"region": (1, 0, 1000, 1000)}, 1),
        (1920, 1080, {"perspective": ((0.1, 0.1), (0.9, 0.1), (1, 1), (0, 1))}, 1),
    ],
)
def test_the_permission_of_older_files_stays_as_it_was(
    width: int, height: int, view: dict[str, Any], wanted: int
) -> None:
    """Once the input's sides, edges on whole pixels, no perspective."""
    older = DecodingRule(smallest_multiple=1, whole_pixels=True)
    assert reduction(width, height, crop(**view), input_spec(decoding=older)) == wanted


@pytest.mark.slow
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
    pixels, reduced = picture.decode(JPEGDecoding(by))
    assert reduced == by
    assert pixels.shape == (1024 // by, 1280 // by, 3)
    difference = to_model_input(pixels, spec).astype(int) - whole
    assert np.abs(difference).mean() < 1
    assert np.abs(difference).max() <= 6


def test_a_jpeg_that_is_turned_by_its_exif_is_not_cut_elsewhere() -> None:
    """Its header holds the sides before the rotation: it is decoded whole."""
    plain = jpeg(scene(512, 1024))
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    pixels, reduced = examine_picture(turned, "a.jpg").decode(JPEGDecoding(4))
    assert (pixels.shape, reduced) == ((1024, 512, 3), 1)


def test_only_a_jpeg_is_reduced() -> None:
    """Only JPEGs are reduced."""
    done, data = cv2.imencode(".png", scene(512, 512))
    assert done
    pixels, reduced = examine_picture(data.tobytes(), "a.png").decode(JPEGDecoding(8))
    assert (pixels.shape, reduced) == ((512, 512, 3), 1)


@pytest.mark.parametrize(("width", "height"), [(1001, 777), (1280, 1024), (403, 999)])
@pytest.mark.parametrize("view", [{}, {"rotate": 90}, {"region": (0.21, 0.13, 0.61, 0.77)}])
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_any_size_looks_to_the_model_as_the_whole_picture_does(
    width: int, height: int, view: dict[str, Any], colour: str
) -> None:
    """Reduced, of odd sides, cut and turned, with luma alone: within a few grey levels."""
    picture = examine_picture(jpeg(scene(height, width, (4, 12))), "a.jpg")
    grey = colour == "grey"
    spec = InputSpec(
        width=64,
        height=48,
        channels=1 if grey else 3,
        colour="grey" if grey else "rgb",
        view=ViewConfig.read(view),
        decoding=DecodingRule(smallest_multiple=1.5, luma=grey),
    )
    assert reduction(width, height, ViewCrop(spec.view or ViewConfig()), spec) > 1
    found = model_input(picture, spec).astype(int)
    assert found.shape == spec.shape
    difference = np.abs(found - preprocess(picture.decode()[0], spec))
    assert difference.mean() < 2.5
    assert np.array_equal(found.shape, model_input(picture, spec, pinned=True).shape)
    assert np.abs(found - model_input(picture, spec, pinned=True)).max() <= 1


def test_a_straightened_picture_is_the_same_when_reduced() -> None:
    """A perspective is cut out of the reduced picture at the same place."""
    picture = examine_picture(jpeg(scene(1000, 1400, (4, 12))), "a.jpg")
    corners = ((0.2, 0.1), (0.8, 0.15), (0.95, 0.9), (0.05, 0.95))
    spec = input_spec(view=ViewConfig.read({"perspective": corners}))
    assert reduction(1400, 1000, ViewCrop(spec.view or ViewConfig()), spec) > 1
    found = model_input(picture, spec).astype(int)
    assert np.abs(found - preprocess(picture.decode()[0], spec)).mean() < 2.5


def test_what_older_files_permit_does_not_count_for_their_golden_pictures(repack: Repack) -> None:
    """model/1 was measured on whole pictures; its permission is for the line."""
    picture = examine_picture(jpeg(scene(512, 512)), "a.jpg")
    assert load_inspector(repack()).decode(picture, crop())[1] == 1
    assert b'"decoding"' not in _inspection(repack())
    older = load_inspector(repack(spec={"decoding": "reduced"}))
    assert older.decode(picture, crop())[1] == 8
    assert older.check_golden() > 0


def test_a_file_with_a_rule_is_model_2(repack: Repack) -> None:
    """Its golden pictures are decoded by the rule, and older boxes refuse the schema."""
    one = load_inspector(repack(spec=WITH_RULE))
    assert one.decode(examine_picture(jpeg(scene(512, 512)), "a.jpg"), crop())[1] == 8
    assert one.check_golden() > 0
    assert b"edge-inspect/model/2" in _inspection(repack(spec=WITH_RULE))


class RecordingClassifier:
    """A model that notes its input and always answers the same."""

    memory_bytes = 0

    def __init__(self) -> None:
        self.seen: list[Pixels] = []

    def __call__(self, picture: Pixels) -> NDArray[np.float32]:
        """Classifies."""
        self.seen.append(picture)
        return np.array([0, 0], np.float32)

    def clone(self) -> "RecordingClassifier":
        """The same."""
        return self


def test_golden_jpegs_are_decoded_by_the_rule(repack: Repack) -> None:
    """As on the line: what the box checks is what runs."""
    golden = jpeg(scene(512, 512))
    one = load_inspector(repack(spec=WITH_RULE))
    files = dict.fromkeys(one.file.golden, golden)
    model = RecordingClassifier()
    with pytest.raises(RefusedError):  # it scores otherwise
        replace(one, classify=model, file=replace(one.file, golden=files)).check_golden()
    picture = examine_picture(golden, "a.jpg")
    assert np.array_equal(model.seen[0], model_input(picture, RULED, pinned=True))
    whole = model_input(picture, RULED.replace(decoding=None), pinned=True)
    assert not np.array_equal(model.seen[0], whole)


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema_": SCHEMA_WITH_RULE},
        {"input": RULED},
        {"input": RULED, "schema_": SCHEMA_WITH_RULE, "decoding": "reduced"},
    ],
)
def test_a_rule_and_its_schema_belong_together(repack: Repack, wrong: dict[str, Any]) -> None:
    """Otherwise an older box would judge without the rule."""
    with pytest.raises(ValueError, match=r"model/2 has input\.decoding"):
        load_inspector(repack(spec=wrong))


def _inspection(path: Any) -> bytes:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return archive.read("inspection.json")

"""Training pictures read another way: raw, other JPEG qualities, other scales."""

import cv2
import numpy as np
import pytest

from edge.core.image import examine_picture
from edge.inspection import DecodingRule, InputSpec, preprocess
from trainer.data.varied_decoding import as_jpeg, varied_input

RULE = DecodingRule(smallest_multiple=1.5, luma=True)
SPEC = InputSpec(width=32, height=32, channels=1, colour="grey", decoding=RULE)


def encoded(suffix: str) -> bytes:
    """A smooth scene of odd sides."""
    coarse = np.random.default_rng(1).uniform(0, 255, (6, 8, 3)).astype(np.float32)
    scene = cv2.resize(coarse, (403, 301), interpolation=cv2.INTER_CUBIC)
    _, data = cv2.imencode(suffix, np.clip(scene, 0, 255).astype(np.uint8))
    return data.tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_readings_differ_but_show_the_same(suffix: str) -> None:
    """Each draw gives one of several readings, all within a few grey levels of the whole one."""
    picture = examine_picture(encoded(suffix), f"a{suffix}")
    whole = preprocess(picture.decode()[0], SPEC).astype(int)
    readings = [varied_input(picture, SPEC, np.random.default_rng(n)) for n in range(20)]
    assert len({reading.tobytes() for reading in readings}) > 5
    for reading in readings:
        assert reading.shape == SPEC.shape
        assert np.abs(reading - whole).mean() < 3


def test_the_same_number_gives_the_same_reading() -> None:
    """A training is repeatable."""
    picture = examine_picture(encoded(".jpg"), "a.jpg")
    one, other = (varied_input(picture, SPEC, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(one, other)


def test_only_what_is_no_jpeg_is_encoded() -> None:
    """A JPEG keeps the camera's bytes."""
    jpeg = examine_picture(encoded(".jpg"), "a.jpg")
    assert as_jpeg(jpeg) is jpeg
    assert as_jpeg(examine_picture(encoded(".png"), "a.png")).header.kind == "JPEG"

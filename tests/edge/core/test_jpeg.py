"""JPEGs: whole ones are judged with OpenCV's pixels, damaged ones are refused."""

import contextlib
import random
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core import jpeg
from edge.core.errors import PictureError
from edge.core.image import decode_picture, examine_picture
from edge.core.jpeg import JPEGDecoding
from tests.support.jpegs import (
    DAMAGES,
    EOI,
    FORMS,
    encode_jpeg,
    exif,
    scan_start,
    segment,
    with_segments,
)

SAMPLINGS = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)
REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def scene(height: int = 120, width: int = 160, grey: bool = False) -> NDArray[np.uint8]:
    """Noise at two scales, so that every block of a JPEG has something to lose."""
    shape = (height, width) if grey else (height, width, 3)
    noise = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    return np.asarray(cv2.addWeighted(cv2.GaussianBlur(noise, (0, 0), 3), 0.8, noise, 0.2, 0))


def by_opencv(data: bytes, reduction: int = 1) -> NDArray[np.uint8]:
    """The pixels as OpenCV decodes them."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), REDUCED[reduction]), np.uint8)


def fault(data: bytes) -> str:
    """The sentence with which the JPEG is refused."""
    with pytest.raises(PictureError) as caught:
        decode_picture(data, "line/part7.jpg")
    text = str(caught.value)
    assert text.startswith("line/part7.jpg: ")
    assert "\n" not in text
    return text


BASELINE = encode_jpeg(scene())
PROGRESSIVE = encode_jpeg(scene(), *FORMS["progressive"])
RESTARTS = encode_jpeg(scene(), *FORMS["restarts"])
EXTRAS = st.lists(
    st.one_of(
        st.binary(max_size=60).map(lambda b: segment(0xFE, b)),
        st.tuples(st.integers(0xE2, 0xED), st.binary(max_size=60)).map(lambda a: segment(*a)),
        st.builds(exif, st.integers(0, 9), st.sampled_from("<>"), st.sampled_from([b"", BASELINE])),
        st.just(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")),
        st.just(segment(0xE0, b"JFXX\0\x10" + BASELINE)),
        st.just(segment(0xDD, b"\0\0")),
    ),
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    grey=st.booleans(),
    quality=st.integers(1, 100),
    sampling=st.sampled_from(SAMPLINGS),
    options=st.tuples(st.booleans(), st.booleans(), st.integers(0, 9)),
    extras=EXTRAS,
    fill=st.integers(0, 5),
    behind=st.binary(max_size=50),
    reduction=st.sampled_from([1, 2, 4, 8]),
)
def test_a_whole_jpeg_of_any_encoder_has_the_pixels_of_opencv(  # noqa: PLR0917
    size: tuple[int, int],
    grey: bool,
    quality: int,
    sampling: int,
    options: tuple[bool, bool, int],
    extras: list[bytes],
    fill: int,
    behind: bytes,
    reduction: int,
) -> None:
    """Whatever stands in its header, between its markers or behind its end, whole and reduced."""
    height, width = size[0] * 8, size[1] * 8
    progressive, optimise, restarts = options
    data = encode_jpeg(
        scene(height, width, grey),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling),
        *(cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)),
        *(cv2.IMWRITE_JPEG_OPTIMIZE, int(optimise)),
        *(cv2.IMWRITE_JPEG_RST_INTERVAL, restarts),
        quality=quality,
    )
    at, filling = scan_start(data), b"\xff" * fill
    data = data[:at] + filling + data[at:-2] + filling + EOI + behind
    data = with_segments(data, *extras, filling)
    pixels, reduced = examine_picture(data, "a.jpg").decode(JPEGDecoding(reduction))
    assert reduced in (1, reduction)  # whole when EXIF turns it on its side
    assert np.array_equal(pixels, by_opencv(data, reduced))
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (8, 8), (9, 17), (33, 47)])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_odd_and_tiny_sizes(size: tuple[int, int], reduction: int) -> None:
    """A picture smaller than a block has its size, and the pixels of OpenCV."""
    data = encode_jpeg(scene(*size))
    pixels, reduced = examine_picture(data, "a.jpg").decode(JPEGDecoding(reduction))
    assert reduced == (reduction if max(size) >= 8 else 1)
    assert pixels.shape == (-(-size[0] // reduced), -(-size[1] // reduced), 3)
    assert np.array_equal(pixels, by_opencv(data, reduced))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_luma_alone(reduction: int, *, grey: bool) -> None:
    """The grey levels of the same JPEG, with one channel, as OpenCV makes them."""
    data = encode_jpeg(scene(83, 122, grey))
    pixels, reduced = examine_picture(data, "a.jpg").decode(JPEGDecoding(reduction, luma=True))
    assert pixels.shape == (-(-83 // reduced), -(-122 // reduced), 1)
    converted = cv2.cvtColor(by_opencv(data, reduced), cv2.COLOR_BGR2GRAY).astype(int)
    assert np.abs(pixels[:, :, 0] - converted).mean() < 3  # colours beyond 0 to 255 are clipped


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_turns_as_opencv_does(orientation: int, order: str) -> None:
    """All eight orientations in both byte orders; an invalid one is upright."""
    data = with_segments(BASELINE, exif(orientation, order))
    assert np.array_equal(decode_picture(data, "a.jpg"), by_opencv(data))


@pytest.mark.parametrize(
    "extra",
    [
        segment(0xE1, exif(6)[4:-9]),
        exif(6).replace(b"*\0\x08\0", b"+\0\x08\0"),
        exif(6).replace(b"*\0\x08\0", b"*\0\xff\xff"),
        segment(0xE1, b"Exif\0\0"),
        segment(0xE1, b"Exif\0\0II*\0"),
        segment(0xE2, exif(6)[4:]),
        exif(1) + exif(3),
        segment(0xE1, b"Exif\0\0xx") + exif(3),
    ],
    ids=["cut", "no-tiff", "far", "empty", "short", "app2", "two", "second"],
)
def test_damaged_exif_is_read_as_opencv_does(extra: bytes) -> None:
    """EXIF that cannot be read turns nothing."""
    data = with_segments(BASELINE, extra)
    assert np.array_equal(decode_picture(data, "a.jpg"), by_opencv(data))


@pytest.mark.parametrize("data", [BASELINE, PROGRESSIVE, RESTARTS])
def test_padding_between_markers_is_harmless(data: bytes) -> None:
    """Zeros before a segment, and fill bytes, change no pixel. libjpeg calls zeros corrupt."""
    at = scan_start(data)
    padded = data[:at] + bytes(7) + data[at:-2] + b"\xff\xff" + EOI
    assert np.array_equal(decode_picture(padded, "a.jpg"), by_opencv(data))
    early = data[:20] + bytes(3) + data[20:]  # behind APP0
    assert np.array_equal(decode_picture(early, "a.jpg"), by_opencv(data))


def test_an_inserted_byte_in_a_table_is_no_padding() -> None:
    """It pushes the table's last byte, a zero, out of the segment."""
    small = encode_jpeg(np.zeros((16, 16, 3), np.uint8), *FORMS["optimised"])
    tables = [at for at in range(len(small)) if small.startswith(b"\xff\xc4", at)]
    assert any(small[at + 1 + small[at + 3]] == 0 for at in tables)
    for at in tables:
        for place in range(at + 4, at + 2 + small[at + 3]):
            with pytest.raises(PictureError):
                decode_picture(small[:place] + b"\0" + small[place:], "a.jpg")


def test_a_picture_or_video_behind_the_end_is_harmless() -> None:
    """A motion photo carries a video; other cameras append a second picture."""
    video = b"\0\0\0\x18ftypmp42" + random.Random(1).randbytes(50_000)
    for behind in (video, BASELINE, BASELINE[:900], EOI + video):
        assert np.array_equal(decode_picture(BASELINE + behind, "a"), by_opencv(BASELINE))


HALF = len(BASELINE) // 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (BASELINE[:HALF] + EOI, "premature end of data segment"),
        (BASELINE[:HALF] + bytes(512) + BASELINE[HALF + 512 :], "damaged JPEG"),
        (BASELINE[:-600] + bytes(598) + EOI, "damaged JPEG"),
        (BASELINE[:HALF] + BASELINE[HALF + 600 :], "damaged JPEG"),
        (BASELINE[:HALF] + b"\x55" * 600 + BASELINE[HALF:], "extraneous bytes before marker 0xd9"),
        (BASELINE[:-2] + b"\x12" * 9 + EOI, "extraneous bytes before marker 0xd9"),
        (BASELINE[:-2] + bytes(9) + EOI, "extraneous bytes before marker 0xd9"),
        (BASELINE[:HALF] + EOI + BASELINE, "premature end of data segment"),
        (BASELINE[:HALF] + BASELINE, "damaged JPEG"),
        (RESTARTS.replace(b"\xff\xd3", b"", 1), "extraneous bytes before marker 0xd4"),
        (RESTARTS.replace(b"\xff\xd3", b"\xff\xd6", 1), "instead of RST3"),
        (PROGRESSIVE[:3000] + bytes(600) + PROGRESSIVE[3600:], "damaged JPEG"),
        (BASELINE[:HALF], "truncated"),
        (with_segments(BASELINE[:HALF], exif(1, thumbnail=BASELINE)), "truncated"),
        (BASELINE[: scan_start(BASELINE) + 20] + EOI, "premature end"),
        (BASELINE[:11] + b"\2" + BASELINE[12:], "unknown JFIF revision number 2"),
    ],
    ids=[
        *(
            "cut-closed",
            "zeroed",
            "zeroed-end",
            "missing",
            "inserted",
            "before-end",
            "zeros-at-end",
            "two-ends",
        ),
        *(
            "torn",
            "no-restart",
            "wrong-restart",
            "progressive",
            "cut",
            "cut-thumbnail",
            "header",
            "jfif",
        ),
    ],
)
def test_damage_is_refused(data: bytes, words: str) -> None:
    """What libjpeg only warns of is one sentence with the reason, at every scale."""
    assert words in fault(data)
    for reduction in (2, 4, 8):
        with pytest.raises(PictureError):
            examine_picture(data, "a.jpg").decode(JPEGDecoding(reduction))


def scans(data: bytes) -> list[int]:
    """Where each scan of a progressive JPEG starts, with its Huffman table."""
    starts = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    tables = [data.rfind(b"\xff\xc4", 0, at) for at in starts]
    return [
        max(table, at if table < before else table)
        for table, at, before in zip(tables, starts, [0, *starts], strict=False)
    ]


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    """Cut between two scans, and closed, it decodes without a warning: blurred."""
    starts = scans(PROGRESSIVE)
    assert len(starts) > 5
    for number, at in enumerate(starts[1:], start=1):
        cut_there = PROGRESSIVE[:at] + EOI
        assert by_opencv(cut_there).shape == (120, 160, 3)
        assert f"ends after {number} scans" in fault(cut_there)


def test_a_jpeg_with_endless_scans_is_refused_at_once() -> None:
    """Each further scan costs a pass over the picture."""
    start = scans(PROGRESSIVE)[-1]
    again = PROGRESSIVE[start:-2]
    assert "more than 200 scans" in fault(PROGRESSIVE[:-2] + again * 300 + EOI)


def test_an_unusual_sampling_is_refused_for_its_true_reason() -> None:
    """simplejpeg does not read it, so its damage would not be noticed."""
    at = BASELINE.index(b"\xff\xc0")
    unusual = BASELINE[: at + 11] + b"\x31" + BASELINE[at + 12 :]
    assert "sampled" in fault(unusual)


def test_without_simplejpeg_jpegs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on 32-bit ARM: a JPEG whose damage no check would find is not judged."""
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    assert "simplejpeg is not installed" in fault(BASELINE)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(DAMAGES)),
    form=st.sampled_from(sorted(FORMS)),
    seed=st.integers(0, 2**32),
)
def test_any_damage_is_refused_or_decoded(kind: str, form: str, seed: int) -> None:
    """Nothing but a sentence comes out, whatever is damaged."""
    data = DAMAGES[kind](encode_jpeg(scene(40, 56), *FORMS[form]), random.Random(seed))
    with contextlib.suppress(PictureError):
        assert decode_picture(data, "a.jpg").ndim == 3


def test_a_damaged_length_ends_the_search_for_markers() -> None:
    """A segment that claims more than the file, or less than its own length."""
    for length in (0, 1, 65_535):
        data = BASELINE[:4] + struct.pack(">H", length)[:2] + BASELINE[6:]
        assert "damaged" in fault(data) or "truncated" in fault(data)

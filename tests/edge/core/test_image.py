"""Decoding: pictures that are judged, and pictures that are refused."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core.errors import PictureError
from edge.core.image import decode_picture, is_picture_name, read_header, read_picture

RNG = np.random.default_rng(5)
NOISE = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)
KINDS = (".jpg", ".png", ".bmp")


def encode(kind: str, pixels: NDArray[np.integer] = NOISE) -> bytes:
    """The bytes of a picture file."""
    done, data = cv2.imencode(kind, pixels)
    assert done
    return data.tobytes()


def cmyk_jpeg() -> bytes:
    """A JPEG whose header has four channels: a grey one with three more components."""
    data = encode(".jpg", NOISE[:, :, 0])
    at = data.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", data, at + 2)
    component = data[at + 10 : at + 13]
    more = b"".join(bytes([n]) + component[1:] for n in (2, 3, 4))
    head = struct.pack(">H", length + 9) + data[at + 4 : at + 9] + b"\x04" + component + more
    return data[: at + 2] + head + data[at + 2 + length :]


@pytest.mark.parametrize("kind", [".png", ".bmp"])
def test_pixels_come_back_as_bgr(kind: str) -> None:
    """A lossless picture comes back pixel by pixel, blue first."""
    assert np.array_equal(decode_picture(encode(kind), "a"), NOISE)


def test_colour_order_is_bgr() -> None:
    """A red picture has its value in channel 2."""
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 2] = 255
    pixels = decode_picture(encode(".jpg", red), "a")
    assert pixels[4, 4, 2] > 240
    assert pixels[4, 4, 0] < 15


@pytest.mark.parametrize("kind", KINDS)
def test_grey_becomes_three_equal_channels(kind: str) -> None:
    """A grey picture is accepted as three equal channels."""
    pixels = decode_picture(encode(kind, NOISE[:, :, 0]), "a")
    assert pixels.shape == (20, 30, 3)
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])


def test_alpha_is_dropped() -> None:
    """An alpha channel changes no pixel, not even where it is transparent."""
    alpha = np.dstack([NOISE, np.zeros(NOISE.shape[:2], np.uint8)])
    assert np.array_equal(decode_picture(encode(".png", alpha), "a"), NOISE)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ("empty", "0 bytes", "again")),
        (b"not a picture at all", ("not a JPEG, PNG or BMP", "not a pi", "save")),
        (encode(".png", NOISE.astype(np.uint16) * 256), ("16 bits", "8 bits")),
        (cmyk_jpeg(), ("CMYK", "RGB")),
        (encode(".jpg")[:-40], ("JPEG", "truncated", "copy it again")),
        (encode(".png")[:-40], ("PNG", "truncated", "copy it again")),
        (encode(".bmp")[:-40], ("BMP", "truncated", "copy it again")),
        (encode(".png", np.zeros((4, 20_000, 3), np.uint8)), ("20000×4", "too large", "16384")),
        (encode(".png")[:20], ("header is damaged",)),
        (encode(".jpg")[:12], ("header is damaged",)),
        (encode(".bmp")[:20], ("header is damaged",)),
    ],
    ids=[
        *("empty", "text", "16-bit", "cmyk", "cut-jpeg", "cut-png", "cut-bmp", "20000-wide"),
        *("short-png", "short-jpeg", "short-bmp"),
    ],
)
def test_bad_picture_is_one_sentence(data: bytes, words: tuple[str, ...]) -> None:
    """A picture that must not be judged is refused in one line: file, fault and fix."""
    with pytest.raises(PictureError) as caught:
        decode_picture(data, "line/part7.jpg")
    text = str(caught.value)
    assert text.startswith("line/part7.jpg: ")
    assert "\n" not in text
    for word in words:
        assert word in text


def test_bomb_is_refused_before_it_is_decoded() -> None:
    """A header that claims 16,000 × 16,000 pixels is refused by its megapixels."""
    data = bytearray(encode(".png"))
    struct.pack_into(">II", data, 16, 16_000, 16_000)
    with pytest.raises(PictureError, match="64 megapixels"):
        decode_picture(bytes(data), "bomb.png")


def test_damaged_png_is_refused() -> None:
    """A PNG with a wrong byte is refused because of its checksum."""
    data = bytearray(encode(".png"))
    data[len(data) // 2] ^= 1
    with pytest.raises(PictureError, match="damaged PNG"):
        decode_picture(bytes(data), "a.png")


@pytest.mark.parametrize("claimed", [0x7FFFFFFF, 0x00FFFFFF, 5000])
def test_a_png_chunk_larger_than_the_file_is_never_decoded(
    monkeypatch: pytest.MonkeyPatch, claimed: int
) -> None:
    """OpenCV spent 12 s on such a file of two kilobytes (found by a fuzzed /predict)."""
    monkeypatch.setattr("edge.core.image.cv2.imdecode", lambda *_: pytest.fail("decoded"))
    data = bytearray(encode(".png"))
    struct.pack_into(">I", data, data.index(b"IDAT") - 4, claimed)
    with pytest.raises(PictureError, match="truncated"):
        decode_picture(bytes(data), "a.png")


def test_bytes_after_the_last_chunk_are_no_fault() -> None:
    """Some programs append data to the picture."""
    assert decode_picture(encode(".png") + bytes(5000), "a").shape == (20, 30, 3)


def test_zero_padding_after_a_jpeg_is_no_truncation() -> None:
    """A camera may pad its JPEG with zeros."""
    assert decode_picture(encode(".jpg") + bytes(5000), "a").shape == (20, 30, 3)


def os2_bmp(pixels: NDArray[np.uint8]) -> bytes:
    """A BMP with the header of OS/2: sides of 16 bits."""
    rows = pixels[::-1].reshape(len(pixels), -1)
    body = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    height, width = pixels.shape[:2]
    head = struct.pack("<IHHHH", 12, width, height, 1, 24)
    return b"BM" + struct.pack("<IHHI", 26 + len(body), 0, 0, 26) + head + body


def test_a_bmp_of_os2_is_judged() -> None:
    """Its header has no room for the fields that were read."""
    assert np.array_equal(decode_picture(os2_bmp(NOISE), "a.bmp"), NOISE)
    with pytest.raises(PictureError, match="truncated"):
        decode_picture(os2_bmp(NOISE)[:-40], "a.bmp")


def test_a_bmp_that_is_not_read_is_not_called_damaged() -> None:
    """16 bits a pixel with masks in the longest header: OpenCV decodes none of these."""
    masks = struct.pack("<IIII", 0xF800, 0x07E0, 0x001F, 0)
    info = struct.pack("<IiiHHIIiiII", 124, 30, 20, 1, 16, 3, 1200, 0, 0, 0, 0)
    head = (info + masks).ljust(124, b"\0")
    data = b"BM" + struct.pack("<IHHI", 138 + 1200, 0, 0, 138) + head + bytes(1200)
    with pytest.raises(PictureError, match="16 bits a pixel and colour masks is not read; save"):
        decode_picture(data, "a.bmp")


@pytest.mark.parametrize("kind", KINDS)
def test_header_says_the_size(kind: str) -> None:
    """Width and height of every kind are read without decoding."""
    header = read_header(encode(kind), "a")
    assert (header.width, header.height, header.bits) == (30, 20, 8)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        *(("a.JPG", True), ("a.jpeg", True), ("a.png", True), ("b.bmp", True)),
        *((".a.jpg", False), ("a.jpg.part", False), ("a.txt", False), ("jpg", False)),
    ],
)
def test_names_that_are_pictures(name: str, taken: bool) -> None:
    """Only visible .jpg, .jpeg, .png and .bmp files are pictures."""
    assert is_picture_name(Path("x") / name) is taken


def test_unreadable_file_names_the_path(tmp_path: Path) -> None:
    """A file that cannot be read is named with the system's reason."""
    with pytest.raises(PictureError, match=r"gone\.png: cannot be read \(No such file"):
        read_picture(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PictureError, match="Is a directory"):
        read_picture(tmp_path / "folder.png")


@settings(max_examples=150, deadline=None)
@example(kind=".bmp", cut=30, flips=[])  # found once: between the size and the compression
@given(
    kind=st.sampled_from(KINDS),
    cut=st.integers(0, 3000),
    flips=st.lists(st.tuples(st.integers(0, 2500), st.integers(0, 255)), max_size=4),
)
def test_no_bytes_give_another_error(kind: str, cut: int, flips: list[tuple[int, int]]) -> None:
    """Any bytes give a picture or a PictureError."""
    data = bytearray(encode(kind)[:cut])
    for at, value in flips:
        if at < len(data):
            data[at] = value
    try:
        pixels = decode_picture(bytes(data), "a")
    except PictureError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3

"""Cutting a stream into JPEGs, whatever its boundaries, lengths and line ends."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.drivers.jpeg_splitter import JPEGSplitter, NoPictureError, Part
from tests.support.network_camera import as_part, scene, to_jpeg

JPEGS = [to_jpeg(scene(n), progressive=n % 3 == 2) for n in range(6)]
_APP = b"\xff\xe1" + (len(JPEGS[0]) + 2).to_bytes(2, "big") + JPEGS[0]  # a preview inside
_COMMENT = b"\xff\xff\xff\xfe\x00\x0c--frame\r\n\x00"  # fill bytes, and a boundary in a comment


def parts_of(stream: bytes, boundary: str | None = "frame", step: int = 1400) -> list[Part]:
    """All parts of a stream that arrives in pieces of `step` bytes."""
    return list(read(JPEGSplitter(boundary), stream, step))


def read(splitter: JPEGSplitter, stream: bytes, step: int) -> Iterator[Part]:
    """The parts, as soon as each is complete."""
    for at in range(0, len(stream), step):
        splitter.feed(stream[at : at + step])
        while (part := splitter.take()) is not None:
            yield part


def notes_of(stream: bytes, boundary: str | None) -> list[str]:
    """What is said of a stream."""
    splitter = JPEGSplitter(boundary)
    list(read(splitter, stream, 1400))
    return splitter.notes()


# the boundary of the Content-Type header, and the options of `as_part`; a number as length is what
# the header says too much
FORMS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "by the letter": ("frame", {"length": 0}),
    "without a length": ("frame", {}),
    "dashes in the header": ("--frame", {"length": 0}),
    "dashes in both": ("--frame", {"delimiter": b"----frame"}),
    "dashes, no length": ("--frame", {}),
    "another boundary": ("97fe87", {}),
    "another boundary, with length": ("97fe87", {"length": 0}),
    "no boundary": (None, {}),
    "quoted": ('"my frame"', {"delimiter": b"--my frame"}),
    "line feeds": ("frame", {"newline": b"\n", "length": 0}),
    "line feeds, no length": ("frame", {"newline": b"\n"}),
    "a short boundary": ("f", {"delimiter": b"--f"}),
    "length two too short": ("frame", {"length": -2}),
    "length half": ("frame", {"length": -len(JPEGS[0]) // 2}),
    "length two too long": ("frame", {"length": 2}),
    "length far too long": ("frame", {"length": 5000}),
    "length huge": ("frame", {"length": "4000000000"}),
    "length that is no number": ("frame", {"length": "a few"}),
    "length negative": ("frame", {"length": "-5"}),
    "length zero": ("frame", {"length": "0"}),
    "length with a space": ("frame", {"headers": b"Content-Length : 77\r\n"}),
}


def wrapped(form: str) -> tuple[str | None, bytes]:
    """The boundary of the header, and the stream."""
    boundary, options = FORMS[form]
    stream = b""
    for jpeg in JPEGS:
        length = options.get("length")
        if isinstance(length, int):
            length += len(jpeg)
        stream += as_part(jpeg, **{**options, "length": length})
    return boundary, stream


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [1, 1400, 10**6])
def test_every_form_of_a_stream_gives_its_pictures(form: str, step: int) -> None:
    """Each JPEG comes out byte for byte, however it is wrapped and however it arrives."""
    boundary, stream = wrapped(form)
    assert [part.data for part in parts_of(stream + b"--frame--\r\n" * 2, boundary, step)] == JPEGS


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("by the letter", []),
        ("line feeds", []),
        ("dashes in both", []),
        ("dashes in the header", ["its boundary lines are not those that its Content-Type names"]),
        ("no boundary", ["its Content-Type names no boundary"]),
        ("length half", ["a Content-Length is shorter than its picture; its lengths are ignored"]),
        ("length far too long", ["a Content-Length is longer than its picture; its lengths are"]),
        ("length two too long", ["its Content-Length counts the line end behind the picture"]),
        ("length huge", ["a Content-Length that no picture has; its lengths are ignored from now"]),
    ],
)
def test_what_is_wrong_is_said_once(form: str, said: list[str]) -> None:
    """One sentence for each mistake, however many pictures have it."""
    boundary, stream = wrapped(form)
    notes = notes_of(stream, boundary)
    assert len(notes) == len(said)
    assert all(note.startswith(words) for note, words in zip(notes, said))


def with_segments(jpeg: bytes) -> bytes:
    """The JPEG with a preview, fill bytes, and a boundary in a comment."""
    return jpeg[:2] + _APP + _COMMENT + jpeg[2:]


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("tail", [b"", b"\0" * 3000, b"\xff" * 3000, b"MotionPhoto" * 99, JPEGS[5]])
def test_what_stands_in_and_behind_a_picture_is_no_picture(tail: bytes, *, length: bool) -> None:
    """A preview inside, padding and a second JPEG behind it are not taken for pictures."""
    jpegs = [with_segments(jpeg) for jpeg in JPEGS]
    stream = b"".join(
        as_part(jpeg + tail, length=len(jpeg) + len(tail) if length else None) for jpeg in jpegs
    )
    found = [part.data for part in parts_of(stream)]
    assert [data.removesuffix(tail) for data in found] == jpegs


@pytest.mark.parametrize("length", [True, False])
def test_a_damaged_part_costs_no_other(*, length: bool) -> None:
    """A truncated picture, one whose bytes are zeroed, and text in place of a picture: those before
    and after are whole."""
    cut = JPEGS[1][: len(JPEGS[1]) * 2 // 3]
    zeroed = JPEGS[3][:200] + bytes(len(JPEGS[3]) - 300) + JPEGS[3][-100:]
    bodies = [JPEGS[0], cut, JPEGS[2], zeroed, b"no picture", JPEGS[4], JPEGS[5], JPEGS[0]]
    stream = b"".join(as_part(body, length=len(body) if length else None) for body in bodies)
    found = [part.data for part in parts_of(stream)]
    whole = [body for body in bodies if body in JPEGS]
    assert [data for data in found if data in JPEGS] == whole
    assert not any(len(data) > len(max(JPEGS, key=len)) + 20 for data in found)


def test_a_stream_that_begins_in_the_middle() -> None:
    """A picture whose beginning is missing is skipped; so are headers without a boundary."""
    stream = JPEGS[0][500:] + b"\r\n" + b"".join(as_part(jpeg) for jpeg in JPEGS)
    assert [part.data for part in parts_of(stream)] == JPEGS
    headless = as_part(JPEGS[0]).removeprefix(b"--frame\r\n") + as_part(JPEGS[1])
    assert [part.data for part in parts_of(headless)] == JPEGS[:2]


def test_pictures_one_after_the_other() -> None:
    """Without any wrapping."""
    assert [part.data for part in parts_of(b"".join(JPEGS), None)] == JPEGS


def test_a_part_knows_its_place_and_time() -> None:
    """`start` counts the stream's bytes; `stamp` is X-Timestamp."""
    first = as_part(JPEGS[0], headers=b"X-Timestamp: 1700000000.250000\r\n")
    parts = parts_of(b"junk\r\n" + first + as_part(JPEGS[1]))
    assert [part.stamp for part in parts] == [1700000000.25, None]
    assert parts[0].start == 6 + first.index(JPEGS[0])


def test_no_stream_is_kept_without_end() -> None:
    """A stream without a picture, and a picture without an end, are given up at 32 MB."""
    for beginning in (b"x", JPEGS[0][:-2]):
        splitter = JPEGSplitter("frame")
        splitter.feed(beginning)
        for _ in range(31):
            splitter.feed(bytes(10**6))
            assert splitter.take() is None
        splitter.feed(bytes(2 * 10**6))
        with pytest.raises(NoPictureError):
            splitter.take()


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 5000))
def test_a_whole_picture_after_rubbish_is_found(dice: random.Random, step: int) -> None:
    """After any damaged parts the first or second whole one comes out, and nothing raises."""
    stream = b""
    for _ in range(dice.randint(0, 4)):
        body = bytearray(dice.choice(JPEGS))
        for _ in range(dice.randint(1, 5)):
            at = dice.randrange(len(body))
            body[at : at + dice.choice([0, 1, 400])] = dice.randbytes(dice.choice([0, 1, 30]))
        length = dice.choice([None, len(body), dice.randint(1, 9000)])
        stream += as_part(bytes(body), length=length)
    for _ in range(20):  # what claims to be a segment has at most 64 kB
        stream += as_part(JPEGS[1])
    found = [part.data for part in parts_of(stream + as_part(JPEGS[2]), step=step)]
    assert JPEGS[2] in found

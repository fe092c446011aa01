"""The messages between the processes: decode reverses encode and refuses everything else."""

import json
import math
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.camera import FAULT_KINDS, FaultKind
from edge.capture.isolation.messages import (
    CameraOpened,
    FrameFault,
    FrameReady,
    MalformedMessageError,
    Message,
    decode,
    encode,
)

_CLASSES: tuple[type[Any], ...] = get_args(Message)
_VALUES: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: st.floats(0.0, 1e10),
    bool: st.booleans(),
    str: st.text(),
    FaultKind: st.sampled_from(FAULT_KINDS),
    dict[str, Any]: st.dictionaries(st.text(), st.integers() | st.text() | st.none()),
}
_READY = FrameReady(1, 2.5, 0, 0, 4, luma=True, jpeg_bytes=100)


def _messages() -> st.SearchStrategy[Any]:
    return st.one_of(
        [
            st.builds(cls, **{field.name: _VALUES[field.type] for field in fields(cls)})
            for cls in _CLASSES
        ]
    )


@given(_messages())
def test_each_message_comes_back_as_it_was(message: Any) -> None:
    """Class, values and types."""
    assert decode(encode(message)) == message


@given(_messages(), st.data())
def test_a_field_of_another_type_is_refused(message: Any, data: st.DataObject) -> None:
    """None is no value of any field; the error names the field."""
    names = [field.name for field in fields(message)]
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    values = json.loads(encode(message)) | {name: None}
    with pytest.raises(MalformedMessageError, match=rf"{type(message).__name__}\.{name} is None"):
        decode(json.dumps(values).encode())


@given(st.binary())
def test_any_other_bytes_are_refused(data: bytes) -> None:
    """The decoder raises nothing but its own error."""
    with pytest.raises(MalformedMessageError):
        decode(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "no message has the type None"),
        (b'{"type": 3}', "no message has the type 3"),
        (b'{"type": []}', r"no message has the type \[\]"),
        (b'{"type": "FrameRead"}', "no message has the type 'FrameRead'"),
        (b'{"type": "KillChild", "pid": 1}', r"KillChild with the fields \['pid'\]"),
        (b'{"type": "ChildStarted", "pid": true}', "ChildStarted.pid is True"),
        (b'{"type": "ChildStarted", "pid": 1.0}', r"ChildStarted.pid is 1\.0"),
        (b'{"type": "CameraLost", "reason": "x", "kind": "odd"}', "CameraLost.kind is 'odd'"),
    ],
)
def test_the_error_names_message_and_field(data: bytes, words: str) -> None:
    """One sentence that names the message and the field."""
    with pytest.raises(MalformedMessageError, match=words):
        decode(data)


@pytest.mark.parametrize("tick", [math.nan, math.inf, -math.inf, -0.001, -1e300, 1e11, 1e300])
def test_a_time_must_be_one(tick: float) -> None:
    """Python's JSON knows NaN and Infinity. Neither is a time, nor is one before the machine's
    start: a verdict cannot state when the picture was taken."""
    with pytest.raises(MalformedMessageError, match="captured_tick is"):
        decode(encode(FrameReady(1, tick, 0, 0, 1, luma=False, jpeg_bytes=0)))


def test_messages_match_by_class() -> None:
    """`match` sees the class, and the fields in their order."""
    match decode(encode(CameraOpened(48, 160, 3, gives_jpeg=True))):
        case CameraOpened(height, width, channels, gives_jpeg):
            assert (height, width, channels, gives_jpeg) == (48, 160, 3, True)
        case message:
            pytest.fail(f"{message} is no CameraOpened")
    assert isinstance(decode(encode(_READY)), FrameReady)
    assert not isinstance(decode(encode(_READY)), FrameFault)

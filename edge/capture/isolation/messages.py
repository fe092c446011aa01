"""The messages between the daemon, the fork server and the camera processes, and their coding.

A message is one JSON object: its class name under `type`, and its fields by their names. The
decoder checks every field, so that both ends can `match` on classes. Pixels are in no message: they
lie in shared memory (`edge.capture.isolation.frame_ring`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from edge.capture.camera import FAULT_KINDS, FaultKind

MAX_TEXT = 2000  # characters of a reason; a driver's text may be long
_MAX_S = 1e10  # no clock of a machine is older than 300 years


class MalformedMessageError(Exception):
    """The bytes are no message of this protocol."""


# From the daemon to the fork server.


@dataclass(frozen=True, slots=True)
class StartChild:
    """Fork a process that opens a camera of `kind` by the `driver_of` of `driver_module`.

    Three file descriptors come with the message: the socket to the daemon, the memory for frames,
    and the fork server's end of the child's handle.
    """

    driver_module: str
    kind: str


# From the daemon to the fork server and back, through the handle of one child.


@dataclass(frozen=True, slots=True)
class KillChild:
    """Send SIGKILL to the child."""


@dataclass(frozen=True, slots=True)
class KillSent:
    """The fork server has sent SIGKILL. The child may still run."""


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """The child has ended and was reaped. `exit_code` is negative for a signal."""

    exit_code: int


@dataclass(frozen=True, slots=True)
class ChildRefused:
    """No child was forked."""

    reason: str


# From the daemon to a camera process.


@dataclass(frozen=True, slots=True)
class OpenDevice:
    """Open this camera. `config` is its section of config.yaml, without defaults."""

    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """Write the next frame into `slot` of the ring, which the daemon lends.

    reduction       divisor of both sides of a JPEG: 1, 2, 4 or 8
    luma            decode the grey levels of a JPEG only
    min_interval_s  least seconds between the last answer and this one
    """

    number: int
    slot: int
    reduction: int = 1
    luma: bool = False
    min_interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FrameUrgent:
    """Answer the request of this number with the next frame, without its `min_interval_s`."""

    number: int


# From a camera process to the daemon.


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """The process runs and opens its camera."""

    pid: int


@dataclass(frozen=True, slots=True)
class CameraOpened:
    """The camera delivers frames of this size in pixels."""

    height: int
    width: int
    channels: int
    gives_jpeg: bool


@dataclass(frozen=True, slots=True)
class FrameReady:
    """The frame for the request of this number lies in its slot.

    captured_tick  when it was taken, monotonic seconds
    passed_over    frames since the last answer that were not requested
    repeats        identical frames right before this one
    reduction      divisor of both sides: that of the request, or 1
    luma           whether there are grey levels only
    jpeg_bytes     length of the JPEG behind the pixels; 0 without one
    """

    number: int
    captured_tick: float
    passed_over: int
    repeats: int
    reduction: int
    luma: bool
    jpeg_bytes: int


@dataclass(frozen=True, slots=True)
class FrameFault:
    """The frame for the request of this number cannot be used; the camera goes on."""

    number: int
    reason: str
    kind: FaultKind
    passed_over: int
    repeats: int


@dataclass(frozen=True, slots=True)
class CameraNote:
    """Something about the camera is odd, but it works. For the log, once."""

    text: str


@dataclass(frozen=True, slots=True)
class CameraLost:
    """The camera cannot be opened or read any more; the process ends after this."""

    reason: str
    kind: FaultKind


Message = (
    StartChild
    | KillChild
    | KillSent
    | ChildEnded
    | ChildRefused
    | OpenDevice
    | FrameRequest
    | FrameUrgent
    | ChildStarted
    | CameraOpened
    | FrameReady
    | FrameFault
    | CameraNote
    | CameraLost
)

_CLASSES: dict[str, type[Message]] = {cls.__name__: cls for cls in Message.__args__}
# `type(value) is int`, since True is an instance of int.
_CHECKS: dict[object, Callable[[object], bool]] = {
    int: lambda value: type(value) is int,
    float: lambda value: type(value) is float and 0.0 <= value <= _MAX_S,  # seconds, never NaN
    bool: lambda value: type(value) is bool,
    str: lambda value: type(value) is str,
    dict[str, Any]: lambda value: type(value) is dict,
    FaultKind: lambda value: value in FAULT_KINDS,
}
_FIELDS = {
    name: {field.name: _CHECKS[field.type] for field in fields(cls)}
    for name, cls in _CLASSES.items()
}


def encode(message: Message) -> bytes:
    """The message as JSON in UTF-8."""
    name = type(message).__name__
    values = {field: getattr(message, field) for field in _FIELDS[name]}
    return json.dumps({"type": name, **values}).encode()


def decode(data: bytes) -> Message:
    """The reverse of `encode`. Raises MalformedMessageError."""
    try:
        values = json.loads(data)
    except ValueError as error:
        raise MalformedMessageError(f"no JSON ({data[:80]!r})") from error
    if not isinstance(values, dict):
        raise MalformedMessageError(f"no JSON object ({data[:80]!r})")
    name = values.pop("type", None)
    if not isinstance(name, str) or name not in _CLASSES:
        raise MalformedMessageError(f"no message has the type {name!r:.80}")
    checks = _FIELDS[name]
    if values.keys() != checks.keys():
        raise MalformedMessageError(f"{name} with the fields {sorted(values)!s:.200}")
    for field, fits in checks.items():
        if not fits(values[field]):
            raise MalformedMessageError(f"{name}.{field} is {values[field]!r:.80}")
    return _CLASSES[name](**values)

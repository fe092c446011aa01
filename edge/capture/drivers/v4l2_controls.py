"""Sets a V4L2 camera's controls: exposure, gain, white balance, focus …

Names are those of `v4l2-ctl --list-ctrls`.
"""

import fcntl
import os
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import CameraError

_QUERYCTRL = struct.Struct("<II32siiiiIII")
_CONTROL = struct.Struct("<Ii")
_VIDIOC_QUERYCTRL = 0xC0445624  # _IOWR('V', 36, struct v4l2_queryctrl)
_VIDIOC_S_CTRL = 0xC008561C  # _IOWR('V', 28, struct v4l2_control)
_NEXT = 0x80000000
_CLASS, _DISABLED = 6, 0x0001

Ioctl = Callable[[int, int, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Control:
    """One control as the driver describes it."""

    id: int
    low: int
    high: int


def set_controls(
    device: Path, wanted: Mapping[str, bool | int | float | str], ioctl: Ioctl = fcntl.ioctl
) -> None:
    """Sets the controls in the order of config.yaml (an automatic one first, then its value).

    Tests pass an `ioctl` that answers as a driver. Raises CameraError for a control that the camera
    does not have, a value out of range, or a refused value.
    """
    if not wanted:
        return
    try:
        file = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise CameraError(f"v4l2:{device}: cannot be opened ({error.strerror})") from error
    try:
        available = _controls(file, ioctl)
        for name, value in wanted.items():
            place = f"v4l2:{device}: controls.{name}"
            if name not in available:
                raise CameraError(
                    f"{place}: the camera has no such control (it has {', '.join(available)})"
                )
            request = _request(place, available[name], value)
            try:
                ioctl(file, _VIDIOC_S_CTRL, request)
            except OSError as error:
                raise CameraError(
                    f"{place}: the camera refuses {value} ({error.strerror}); an automatic "
                    "control may have to be switched off before it, in the line above"
                ) from error
    finally:
        os.close(file)


def _controls(file: int, ioctl: Ioctl) -> dict[str, Control]:
    found: dict[str, Control] = {}
    number = 0
    while True:
        question = _QUERYCTRL.pack(number | _NEXT, 0, b"", 0, 0, 0, 0, 0, 0, 0)
        try:
            answer = _QUERYCTRL.unpack(ioctl(file, _VIDIOC_QUERYCTRL, question))
        except OSError:  # EINVAL after the last one
            return found
        number, kind, raw, low, high, _step, _default, flags = answer[:8]
        if kind != _CLASS and not flags & _DISABLED:
            text = raw.split(b"\0")[0].decode("latin-1").lower()
            found[re.sub(r"[^a-z0-9]+", "_", text).strip("_")] = Control(number, low, high)


def _request(place: str, control: Control, value: bool | float | str) -> bytes:
    if isinstance(value, str) or int(value) != value:
        raise CameraError(f"{place}: must be a whole number (got {value!r})")
    if not control.low <= int(value) <= control.high:
        raise CameraError(f"{place}: must be {control.low} to {control.high} (got {value})")
    return _CONTROL.pack(control.id, int(value))

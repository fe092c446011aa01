"""A camera in its own process that misbehaves by a script.

`IsolatedCamera` takes this module as its driver module. The source holds the script: `v4l2:` and
steps with commas between them, or `v4l2:plan:SEED:LIFE` for random steps. The frame's number is
written into its first pixels, in black and white, so that a test can identify the picture.
"""

import gc
import os
import random
import signal
import threading
import time
from collections.abc import Callable

import numpy as np

from edge.capture.camera import CameraRead, DrivenCamera, Pixels
from edge.capture.isolation.channel import Channel
from edge.capture.isolation.messages import FrameReady
from edge.config import CameraConfig
from edge.core.clock import StopEvent
from edge.core.errors import CameraError

BITS = 32
_CELL = 4


def numbered(number: int, height: int = 48, width: int = 160) -> Pixels:
    """A noisy picture, uint8 (height, width, 3), with `number` written into its first rows."""
    pixels = np.random.default_rng(number).integers(40, 200, (height, width, 3), np.uint8)
    pixels[:, :, 2] //= 8  # little red: the model of the tests lets it pass
    bits = (number >> np.arange(BITS)) & 1
    pixels[:_CELL, : BITS * _CELL] = np.repeat(bits * 255, _CELL).astype(np.uint8)[None, :, None]
    return pixels


# Random faults and their weights: faults that end the process are rarer, since they take longer.
FAULTS = {
    **dict.fromkeys(("hang", "crash", "size"), 1),
    **dict.fromkeys(("freeze", "black", "late"), 6),
    **dict.fromkeys(("white", "even", "damaged"), 5),
}
ENDING = frozenset({"hang", "crash", "size"})
FAULTY_SHARE = 0.4
_LIFE = 16  # bits of the number that count pictures; those above count lives


def planned(seed: int, life: int, count: int) -> str:
    """The step of picture `count`, from 1, in process number `life`."""
    chance = random.Random(f"{seed}:{life}:{count}")
    if count == 1 or chance.random() >= FAULTY_SHARE:
        return "good"
    return chance.choices(list(FAULTS), list(FAULTS.values()))[0]


def life_and_count(number: int) -> tuple[int, int]:
    """The process and the picture of a number."""
    return number >> _LIFE, number & ((1 << _LIFE) - 1)


def number_of(pixels: Pixels) -> int:
    """The number in a picture; -1 without one."""
    cells = pixels[:_CELL, : BITS * _CELL].reshape(_CELL, BITS, _CELL, 3)
    if not (np.all(cells == cells[:1, :, :1, :1])):
        return -1
    return int(sum(1 << n for n, value in enumerate(cells[0, :, 0, 0]) if value == 255))


class FaultyCamera(DrivenCamera):
    """One step a frame; the last step is repeated for ever."""

    def __init__(self, config: CameraConfig) -> None:
        self._plan: tuple[int, int] | None = None
        if config.rest.startswith("plan:"):
            seed, life = config.rest.split(":")[1:]
            self._plan = int(seed), int(life)
        self._base = self._plan[1] << _LIFE if self._plan else 0
        self._steps = config.rest.split(",")
        self._interval = 1 / (config.fps or 100)
        self._count = 0
        self._step = "good"
        self._last = numbered(self._base)
        if self._steps[0] == "no-open":
            raise CameraError("faulty: cannot be opened; check the cable")
        if self._steps[0] == "hang-open":
            threading.Event().wait()

    def grab(self, stop: StopEvent) -> bool:
        """Does the next step."""
        time.sleep(self._interval)
        self._count += 1
        if self._plan is not None:
            self._step = planned(*self._plan, self._count)
        else:
            self._step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        match self._step:
            case "hang":
                threading.Event().wait()
            case "stop":  # the whole process is stopped, as in a debugger or a frozen cgroup
                os.kill(os.getpid(), signal.SIGSTOP)
            case "crash":
                signal.signal(signal.SIGSEGV, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(3)
            case "raise":
                raise RuntimeError("driver")
            case "lost":
                raise CameraError("faulty: lost; check the cable")
            case "end":
                return False
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:
        """The picture of that step."""
        now = time.monotonic()
        if self._step == "freeze":
            return CameraRead(self._last)
        pixels = numbered(self._base + self._count)
        match self._step:
            case "black":
                return CameraRead(np.zeros_like(pixels) + np.uint8(self._count % 5))
            case "white":
                return CameraRead(np.full_like(pixels, 255) - np.uint8(self._count % 3))
            case "even":
                return CameraRead(np.full_like(pixels, 100) + np.uint8(self._count % 5))
            case "late":
                return CameraRead(pixels, captured_tick=now - 60)
            case "size":
                return CameraRead(numbered(self._count, height=60))
            case "damaged":
                return CameraRead(None, fault="faulty: the JPEG file is truncated")
            case "liar":
                _daemon_socket().send(FrameReady(1, now, -5, 0, 1, luma=False, jpeg_bytes=0))
            case "noise":
                os.write(_daemon_socket().fileno(), b"\x00")
            case "untyped":
                os.write(_daemon_socket().fileno(), b'{"type": "FrameReady", "number": 1}')
            case "in-place" if target is not None:
                np.copyto(target, pixels)
                return CameraRead(target)
        self._last = pixels
        return CameraRead(pixels, captured_tick=now)

    def close(self) -> None:
        """Nothing is held open."""


def _daemon_socket() -> Channel:
    """The camera process's only open channel."""
    return next(c for c in gc.get_objects() if isinstance(c, Channel) and c.fileno() >= 0)


def driver_of(kind: str) -> Callable[[CameraConfig], DrivenCamera]:
    """As in `edge.capture.drivers.registry`."""
    return FaultyCamera

"""Checks whether a live frame may be judged: fresh, new, of the right size, lit and in focus."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edge.capture.camera import CameraRead, FaultKind, Pixels
from edge.config import CameraConfig, TrustConfig
from edge.core.errors import PictureError

_ROWS = 8  # two frames of a noisy sensor differ in every eighth row; equal ones are compared whole
_STEP = 8  # light is measured on every eighth pixel of every eighth row
_TAIL = 200  # the darkest and brightest 1/200 are left out: dead and hot pixels, reflections
_SHARPNESS_SIDE = 640
_REOPEN = frozenset({"decode", "wrong_size", "stale", "frozen"})  # a new start may help these


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a frame is not judged.

    skipped  it is no fault: a part waits for the next frame. The camera has not settled
             (`starting`), or an identical frame was judged already (`frozen`, but not yet so often)
    """

    kind: FaultKind | Literal["starting"]
    why: str
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Brightness:
    """Grey levels 0 to 255. 0.5 % of the pixels are darker than `low`, 0.5 % brighter than
    `high`."""

    low: int
    high: int

    @property
    def contrast(self) -> int:
        """`high` minus `low`."""
        return self.high - self.low


def brightness(pixels: Pixels) -> Brightness:
    """The brightness of a picture, uint8: BGR, (height, width, 3), or grey, (height, width, 1)."""
    step = max(1, min(_STEP, min(pixels.shape[:2]) // 32))
    sample = pixels[::step, ::step]
    grey = sample[..., 0]
    if pixels.shape[2] == 3:
        # (b + g + r) // 3; `sum` over the last axis takes ten times as long
        grey = np.add(grey, sample[..., 1], dtype=np.uint16)
        grey += sample[..., 2]
        grey //= 3
    darker = np.bincount(grey.ravel(), minlength=256).cumsum()  # pixels up to each grey level
    tail = grey.size // _TAIL
    low = int(darker.searchsorted(tail, "right"))
    high = int(darker.searchsorted(grey.size - tail))
    return Brightness(low, max(low, high))


def sharpness(pixels: Pixels) -> float:
    """The variance of the Laplacian in the middle of a BGR picture, uint8, (height, width, 3).

    Compare it only with pictures of the same scene, size and light.
    """
    height, width = pixels.shape[:2]
    top, left = max(0, (height - _SHARPNESS_SIDE) // 2), max(0, (width - _SHARPNESS_SIDE) // 2)
    middle = pixels[top : top + _SHARPNESS_SIDE, left : left + _SHARPNESS_SIDE]
    grey = cv2.cvtColor(np.ascontiguousarray(middle), cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_16S).var())


def _identical(one: Pixels | None, other: Pixels) -> bool:
    return (
        one is not None
        and one.shape == other.shape
        and one[len(one) // 2].tobytes() == other[len(other) // 2].tobytes()
        and np.array_equal(one[::_ROWS], other[::_ROWS])
        and np.array_equal(one, other)
    )


class FrameChecks:
    """Checks every frame of one live camera. For one thread."""

    def __init__(self, config: CameraConfig) -> None:
        """Frames must have the configured size, else that of the first frame. A camera that comes
        back with another size shows another scene than the model was tested on."""
        self.counts: Counter[str] = Counter()  # rejected frames by kind
        self.repeated = 0  # repeated frames of a camera that is not frozen
        self._limits = config.trust
        self._frozen_after = config.frozen_after
        self._timeout_s = config.timeout_s
        self._width, self._height = config.width, config.height
        self._previous: Pixels | None = None
        self._accepted: Pixels | None = None
        self._repeats = 0
        self._faulty_since: float | None = None

    def reopened(self) -> None:
        """The camera was opened again. Its first frame may still be one from before."""
        self._repeats, self._faulty_since = 0, None
        # copies, so that the frame ring of the ended process can be freed
        self._previous = None if self._previous is None else self._previous.copy()
        self._accepted = None if self._accepted is None else self._accepted.copy()

    def check(
        self,
        read: CameraRead,
        age_s: float,
        unsettled: str | None = None,
        trust: TrustConfig | None = None,
    ) -> Rejection | None:
        """Why this frame must not be judged; None when it may.

        read       with decoded pixels
        age_s      seconds since it was taken
        unsettled  why the camera has not settled; its light and focus do not count yet
        trust      the limits of the frame's recipe; None: as before
        """
        pixels = read.pixels
        assert pixels is not None
        self._limits = trust or self._limits
        repeat = self._check_repeats(pixels, read.repeats)  # always: it remembers the frame
        rejection = (
            self._check_size(*read.size)
            or self._check_age(age_s)
            or repeat
            or (Rejection("starting", unsettled, skipped=True) if unsettled else None)
            or self._check_brightness(pixels)
            or self._check_sharpness(read)
        )
        if rejection is None:
            self._accepted = pixels
        elif rejection.skipped:
            self.repeated += rejection is repeat
        else:
            self.counts[rejection.kind] += 1
        return rejection

    def needs_reopen(self, kind: str | None, now: float) -> bool:
        """Whether faults that a new start may end have lasted for `timeout_s`.

        kind  kind of this frame's fault; None without one
        now   monotonic seconds
        """
        if kind not in _REOPEN:
            self._faulty_since = None
            return False
        self._faulty_since = now if self._faulty_since is None else self._faulty_since
        return now - self._faulty_since >= self._timeout_s

    def _check_size(self, width: int, height: int) -> Rejection | None:
        self._width, self._height = self._width or width, self._height or height
        if (width, height) == (self._width, self._height):
            return None
        return Rejection(
            "wrong_size",
            f"wrong size: {width}×{height}, not {self._width}×{self._height}; set the camera, or "
            "width and height in config.yaml",
        )

    def _check_age(self, age_s: float) -> Rejection | None:
        if age_s <= self._limits.max_age_s:
            return None
        return Rejection(
            "stale", f"stale: taken {age_s:.2f} s ago (trust.max_age_s {self._limits.max_age_s:g})"
        )

    def _check_repeats(self, pixels: Pixels, repeats: int) -> Rejection | None:
        if self._frozen_after is None:
            return None  # the user has declared that identical frames are genuine here
        previous, self._previous = self._previous, pixels
        # Some cameras repeat the last accepted frame after a fault. Usually both are one frame.
        accepted = None if self._accepted is previous else self._accepted
        if not repeats and not _identical(previous, pixels) and not _identical(accepted, pixels):
            self._repeats = 0
            return None
        self._repeats = max(self._repeats + 1, repeats)
        why = f"the same picture {self._repeats + 1} times in a row"
        if self._repeats + 1 < self._frozen_after:
            return Rejection("frozen", f"{why}, which is judged once", skipped=True)
        return Rejection("frozen", f"camera frozen: {why}")

    def _check_brightness(self, pixels: Pixels) -> Rejection | None:
        limits, found = self._limits, brightness(pixels)
        if found.high < limits.dark_below:
            return Rejection(
                "dark",
                f"dark: the brightest spots have grey level {found.high} (trust.dark_below "
                f"{limits.dark_below}); check lamp, exposure and lens cap",
            )
        if found.low > limits.bright_above:
            return Rejection(
                "bright",
                f"saturated: the darkest spots have grey level {found.low} (trust.bright_above "
                f"{limits.bright_above}); check lamp and exposure",
            )
        if found.contrast < limits.min_contrast:
            return Rejection(
                "covered",
                f"covered: one even tone, grey levels {found.low} to {found.high} "
                f"(trust.min_contrast {limits.min_contrast}); check that nothing covers the lens",
            )
        return None

    def _check_sharpness(self, read: CameraRead) -> Rejection | None:
        limit = self._limits.min_focus
        if limit is None:
            return None
        try:
            pixels = read.decoded()  # `min_focus` was chosen on whole pictures
        except PictureError as error:
            return Rejection("decode", str(error))
        assert pixels is not None
        if (found := sharpness(pixels)) >= limit:
            return None
        return Rejection(
            "blurred",
            f"out of focus: sharpness {found:.1f} (trust.min_focus {limit:g}); check the lens",
        )

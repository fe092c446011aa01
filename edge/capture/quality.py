"""Checks whether a live frame may be judged: fresh, new, of the right size, lit and in focus."""

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np

from edge.capture.camera import Distrust, Pixels
from edge.config import CameraConfig

_ROWS = 8  # two frames of a noisy sensor differ in every eighth row; equal ones are compared whole
_STEP = 8  # light is measured on every eighth pixel of every eighth row
_TAIL = 200  # the darkest and brightest 1/200 are left out: dead and hot pixels, reflections
_FOCUS_SIDE = 640
_REOPEN = frozenset({"decode", "wrong_size", "stale", "frozen"})  # a new start may help these


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a frame is not judged. `repeated`: an identical frame was judged already; the camera is
    not frozen yet."""

    kind: Distrust
    why: str
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Brightness:
    """Grey levels, 0 to 255: 0.5 % of the pixels are darker than `low`, 0.5 % brighter than
    `high`."""

    low: int
    high: int

    @property
    def contrast(self) -> int:
        """The range between both."""
        return self.high - self.low


def light(pixels: Pixels) -> Brightness:
    """The light of a BGR picture, uint8, (height, width, 3)."""
    step = max(1, min(_STEP, min(pixels.shape[:2]) // 32))
    some = pixels[::step, ::step]
    # (b + g + r) // 3; `sum` over the last axis takes ten times as long
    grey = np.add(some[..., 0], some[..., 1], dtype=np.uint16)
    grey += some[..., 2]
    grey //= 3
    darker = np.bincount(grey.ravel(), minlength=256).cumsum()  # pixels up to each grey level
    tail = grey.size // _TAIL
    low = int(darker.searchsorted(tail, "right"))
    high = int(darker.searchsorted(grey.size - tail))
    return Brightness(low, max(low, high))


def focus(pixels: Pixels) -> float:
    """Sharpness of the middle of a BGR picture, uint8, (height, width, 3): the variance of its
    Laplacian. Only to be compared with pictures of the same scene, size and light."""
    height, width = pixels.shape[:2]
    top, left = max(0, (height - _FOCUS_SIDE) // 2), max(0, (width - _FOCUS_SIDE) // 2)
    middle = pixels[top : top + _FOCUS_SIDE, left : left + _FOCUS_SIDE]
    grey = cv2.cvtColor(np.ascontiguousarray(middle), cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_16S).var())


def _same(one: Pixels | None, other: Pixels) -> bool:
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
        """Frames must have the configured size, else that of the first frame: a camera that comes
        back with another size shows something else than the model was tested on."""
        self.counts: Counter[str] = Counter()
        self.repeated = 0
        self._limits = config.trust
        self._frozen_after = config.frozen_after
        self._timeout_s = config.timeout_s
        self._width, self._height = config.width, config.height
        self._before: Pixels | None = None
        self._trusted: Pixels | None = None
        self._same = 0
        self._since: float | None = None

    def reopened(self) -> None:
        """The camera was opened again. A frame that is identical to one from before was not taken
        since."""
        self._same, self._since = 0, None
        # copies, so that the frame ring of the ended process can be freed
        self._before = None if self._before is None else self._before.copy()
        self._trusted = None if self._trusted is None else self._trusted.copy()

    def judge(
        self, pixels: Pixels, age_s: float, reduced: int = 1, repeats: int = 0
    ) -> Rejection | None:
        """Why this frame must not be judged; None when it may.

        pixels   BGR uint8, (height, width, 3)
        age_s    seconds since it was taken
        reduced  what both sides were divided by when it was decoded
        repeats  identical frames right before it, as far as they were compared
        """
        same = self._of_sameness(pixels, repeats)
        doubt = (
            self._of_size(pixels, reduced)
            or self._of_age(age_s)
            or same
            or self._of_light(pixels)
            or self._of_focus(pixels)
        )
        if doubt is not None and not doubt.repeated:
            self.counts[doubt.kind] += 1
        elif doubt is not None:
            self.repeated += 1
        else:
            self._trusted = pixels
        return doubt

    def needs_a_new_start(self, kind: str | None, now: float) -> bool:
        """Whether faults that opening the camera again may end have lasted for `timeout_s`.

        kind  that of this frame's fault; None without one
        now   monotonic seconds
        """
        if kind not in _REOPEN:
            self._since = None
            return False
        self._since = now if self._since is None else self._since
        return now - self._since >= self._timeout_s

    def _of_size(self, pixels: Pixels, reduced: int) -> Rejection | None:
        height, width = (side * reduced for side in pixels.shape[:2])
        self._width, self._height = self._width or width, self._height or height
        if (width, height) == (self._width, self._height):
            return None
        return Rejection(
            "wrong_size",
            f"wrong size: {width}×{height}, not {self._width}×{self._height}; set the camera, or "
            "width and height in config.yaml",
        )

    def _of_age(self, age_s: float) -> Rejection | None:
        if age_s <= self._limits.max_age_s:
            return None
        return Rejection(
            "stale", f"stale: taken {age_s:.2f} s ago (trust.max_age_s {self._limits.max_age_s:g})"
        )

    def _of_sameness(self, pixels: Pixels, repeats: int) -> Rejection | None:
        # Compared with the last judged frame too: some cameras repeat it after a fault.
        if self._frozen_after is None:
            return None  # the user has declared that identical frames are genuine here
        before, self._before = self._before, pixels
        trusted = None if self._trusted is before else self._trusted  # usually it is the same frame
        if not repeats and not _same(before, pixels) and not _same(trusted, pixels):
            self._same = 0
            return None
        self._same = max(self._same + 1, repeats)
        why = f"the same picture {self._same + 1} times in a row"
        if self._same + 1 < self._frozen_after:
            return Rejection("frozen", f"{why}, which is judged once", repeated=True)
        return Rejection("frozen", f"camera frozen: {why}")

    def _of_light(self, pixels: Pixels) -> Rejection | None:
        limits, found = self._limits, light(pixels)
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
                f"(trust.min_contrast {limits.min_contrast}); check what is before the lens",
            )
        return None

    def _of_focus(self, pixels: Pixels) -> Rejection | None:
        wanted = self._limits.min_focus
        if wanted is None or (found := focus(pixels)) >= wanted:
            return None
        return Rejection(
            "blurred",
            f"out of focus: sharpness {found:.1f} (trust.min_focus {wanted:g}); check the lens",
        )

"""Cuts the judged regions out of a camera's picture: perspective, rotation, mirror, regions.

Training uses the same code, so that it sees the same cut.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import PictureError
from edge.core.terms import Pixels
from edge.core.view import Point, Rectangle, ViewConfig, is_fractions

Slices = tuple[slice, slice]  # rows, columns
_TURNS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
_MIN_SIDE = 8  # pixels; the smallest input of a model


class ViewCrop:
    """A view. It computes its slices once per picture size. Not thread-safe."""

    def __init__(self, view: ViewConfig) -> None:
        self._view = view
        self._plans: dict[tuple[int, int, int], _CropPlan] = {}

    @property
    def view(self) -> ViewConfig:
        """The cut region, as config.yaml writes it."""
        return self._view

    @property
    def regions(self) -> tuple[str | None, ...]:
        """The names of the regions that `cut` returns, in its order; (None,) without regions."""
        return tuple(self._view.boxes)

    @property
    def worst_decides(self) -> bool:
        """Whether the regions share one verdict."""
        return self._view.verdict == "worst"

    @property
    def verdicts(self) -> int:
        """The number of verdicts per picture or part."""
        return 1 if self.worst_decides else len(self.regions)

    def mismatch(self, width: int, height: int) -> str | None:
        """Why the view does not fit pictures of this size in pixels, with the key and the fix; None
        when it fits."""
        try:
            self._plan(width, height)
        except PictureError as error:
            return str(error)
        return None

    def cut(self, pixels: Pixels, reduced: int = 1) -> dict[str | None, Pixels]:
        """Cuts the regions out of a picture, by name.

        `pixels` is uint8, (height, width, channels), both sides divided by `reduced` (see
        edge/inspection/decoding.py). The regions have the same scale and channels, and may share
        memory with `pixels`. Raises PictureError when the view does not fit.
        """
        height, width = pixels.shape[:2]
        return self._plan(width, height, reduced).cut(pixels)

    def slices(self, width: int, height: int, reduced: int = 1) -> dict[str | None, Slices]:
        """Rows and columns of each region in the straightened picture; `width` and `height` are
        those of the picture before, in pixels. Raises PictureError when the view does not fit."""
        return self._plan(width, height, reduced).slices

    def least_scale(self, width: int, height: int) -> float:
        """The least share of a straightened side that the picture itself has, up to 1: at the far
        end of a perspective there is less to see."""
        return self._plan(width, height).least_scale

    @property
    def has_perspective(self) -> bool:
        """Whether the view straightens a perspective."""
        return self._view.perspective is not None

    def show(self, pixels: Pixels) -> tuple[Pixels, dict[str | None, tuple[int, int, int, int]]]:
        """For people: the straightened picture, and each region's x, y, width, height in pixels.
        Raises PictureError when the view does not fit."""
        height, width = pixels.shape[:2]
        return self._plan(width, height).show(pixels)

    def _plan(self, width: int, height: int, reduced: int = 1) -> "_CropPlan":
        plan = self._plans.get((width, height, reduced))
        if plan is None:
            if len(self._plans) > 16:  # folders may hold pictures of any size
                self._plans.clear()
            plan = _CropPlan(self._view, width, height, reduced)
            self._plans[width, height, reduced] = plan
        return plan


class _CropPlan:
    """A view for one picture size, after both sides were divided by `reduced`."""

    def __init__(self, view: ViewConfig, width: int, height: int, reduced: int) -> None:
        self._matrix: NDArray[np.float64] | None = None
        self.least_scale = 1.0
        if view.perspective is not None:
            corners = _corners(view.perspective, width, height, reduced)
            (width, height), self.least_scale = _flat_size(corners)
            flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
            self._matrix = np.asarray(cv2.getPerspectiveTransform(corners, flat), np.float64)
        self._size = width, height
        self._turn = _TURNS.get(view.rotate)
        self._flip = {"none": None, "horizontal": 1, "vertical": 0}[view.mirror]
        if view.rotate in (90, 270):
            width, height = height, width
        self.slices: dict[str | None, Slices] = {
            name: _slices(
                box, "region" if name is None else f"regions {name!r}", width, height, reduced
            )
            for name, box in view.boxes.items()
        }

    def cut(self, pixels: Pixels) -> dict[str | None, Pixels]:
        picture = self._straightened(pixels)
        return {name: picture[at] for name, at in self.slices.items()}

    def show(self, pixels: Pixels) -> tuple[Pixels, dict[str | None, tuple[int, int, int, int]]]:
        boxes = {
            name: (x.start, y.start, x.stop - x.start, y.stop - y.start)
            for name, (y, x) in self.slices.items()
        }
        return self._straightened(pixels), boxes

    def _straightened(self, pixels: Pixels) -> Pixels:
        picture = pixels
        if self._matrix is not None:
            warped = cv2.warpPerspective(picture, self._matrix, self._size, flags=cv2.INTER_LINEAR)
            picture = np.asarray(warped, np.uint8)
        if self._turn is not None:
            picture = np.asarray(cv2.rotate(picture, self._turn), np.uint8)
        if self._flip is not None:
            picture = np.asarray(cv2.flip(picture, self._flip), np.uint8)
        return picture.reshape(*picture.shape[:2], -1)  # OpenCV drops the axis of one channel


def _slices(box: Rectangle | None, key: str, width: int, height: int, reduced: int) -> Slices:
    if box is None:
        return slice(0, height), slice(0, width)
    x, y, w, h = (number / reduced for number in box)
    if is_fractions(box):
        x, y, w, h = (n * side for n, side in zip(box, (width, height, width, height)))
    left, top = round(x), round(y)
    right, bottom = round(x + w), round(y + h)
    if right > width or bottom > height:
        raise PictureError(
            f"view.{key} reaches to {right},{bottom}, outside the picture of {width}×{height}; "
            "correct it, or ask the camera for a larger picture"
        )
    if right - left < _MIN_SIDE or bottom - top < _MIN_SIDE:
        raise PictureError(
            f"view.{key} is only {right - left}×{bottom - top} pixels of a picture of "
            f"{width}×{height}; make it larger"
        )
    return slice(top, bottom), slice(left, right)


def _corners(
    points: tuple[Point, Point, Point, Point], width: int, height: int, reduced: int
) -> NDArray[np.float32]:
    """The four corners in pixels: float32, (4, 2)."""
    numbers = tuple(number for point in points for number in point)
    scale = (width, height) if is_fractions(numbers) else (1 / reduced, 1 / reduced)
    corners = np.array(points, np.float32) * np.array(scale, np.float32)
    if (corners > (width, height)).any():
        raise PictureError(
            f"view.perspective has a corner outside the picture of {width}×{height}; "
            "correct it, or ask the camera for a larger picture"
        )
    return corners.astype(np.float32)


def _flat_size(corners: NDArray[np.float32]) -> tuple[tuple[int, int], float]:
    """Width and height of the straightened picture in pixels, the longer of opposite sides; and the
    least share of them that the shorter sides have."""
    a, b, c, d = corners.tolist()
    across, down = (math.dist(a, b), math.dist(d, c)), (math.dist(a, d), math.dist(b, c))
    size = max(_MIN_SIDE, round(max(across))), max(_MIN_SIDE, round(max(down)))
    return size, min(min(across) / max(across), min(down) / max(down))

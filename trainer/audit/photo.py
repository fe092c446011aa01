"""What a closer look compares of a picture: its pixels at up to 224 × 224, and its key points."""

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.audit.pose import Pose
from trainer.audit.sketch import MIRRORED, THUMB, Grey, Plane, not_filled, resized, standard_light

SIDE = 224  # square root of the area compared: networks of this field see no more
CLIPPED = (2, 253)
MOST_CLIPPED = 0.5  # of the picture: one that has more is black and white by nature
POINTS = 400  # key points a picture; a sketch has 64, of which a tilted copy may share too few


@dataclass(frozen=True)
class Photo:
    """A picture to be compared: `grey`, uint8, (height, width), at most 224 × 224 in area, and
    `real`, 255 where it shows something: neither filled by an editor nor clipped; `even`: the same
    as `grey` under standard light."""

    grey: Grey
    real: Grey
    even: Grey

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.grey.shape[1], self.grey.shape[0]

    @cached_property
    def inner(self) -> Grey:
        """`real` without what interpolation took from outside: uint8, (height, width)."""
        kernel, border = np.ones((5, 5), np.uint8), cv2.BORDER_CONSTANT
        return np.asarray(cv2.erode(self.real, kernel, borderType=border, borderValue=0), np.uint8)

    @cached_property
    def halved(self) -> "Photo":
        """The same at half the side."""
        size = (max(8, self.size[0] // 2), max(8, self.size[1] // 2))
        grey, even = (
            np.asarray(cv2.resize(it, size, interpolation=cv2.INTER_AREA), np.uint8)
            for it in (self.grey, self.even)
        )
        real = np.asarray(cv2.resize(self.real, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        return Photo(grey, real, even)

    @cached_property
    def corners(self) -> tuple[Plane, Grey]:
        """Key points: float32, (k, 2), in pixels, and their SIFT descriptors: uint8, (k, 128); k is
        at most 400. Found when first asked for: they cost as much as all the rest."""
        finder = cv2.SIFT.create(nfeatures=POINTS, contrastThreshold=0.01)
        found, described = finder.detectAndCompute(self.even, self.inner)
        points = np.array([point.pt for point in found], np.float32).reshape(-1, 2)
        if described is None:
            described = np.empty((0, 128), np.float32)
        return points, np.asarray(described, np.uint8)

    def rooted(self, mirrored: bool) -> Plane:
        """Descriptors of the key points at length 1 (RootSIFT): float32, (k, 128)."""
        rows = self.corners[1][:, MIRRORED] if mirrored else self.corners[1]
        plane = rows.astype(np.float32)
        return np.asarray(np.sqrt(plane / (plane.sum(axis=1, keepdims=True) + 1e-6)), np.float32)

    def softened(self, width: float) -> "Photo":
        """Blurred by `width` pixels."""
        grey, even = (cv2.GaussianBlur(it, (0, 0), width) for it in (self.grey, self.even))
        return replace(self, grey=np.asarray(grey, np.uint8), even=np.asarray(even, np.uint8))


def photo(grey: Grey) -> Photo:
    """What is compared of a picture, uint8, (height, width)."""
    small = resized(grey, SIDE) if grey.size > SIDE * SIDE else grey
    real = not_filled(small)
    lost = ((small < CLIPPED[0]) | (small > CLIPPED[1])).astype(np.uint8)
    # One clipped pixel is a highlight; where all of a neighbourhood is, nothing can be seen.
    lost = np.asarray(cv2.erode(lost, np.ones((5, 5), np.uint8)), np.uint8)
    lost = np.asarray(cv2.dilate(lost, np.ones((7, 7), np.uint8)), np.uint8)
    if lost.mean() < MOST_CLIPPED:
        real[lost > 0] = 0
    return Photo(small, real, standard_light(small, real))


def in_pixels(pose: Pose, first: Photo, second: Photo) -> Pose:
    """The map from pixels of the first to those of the second; `pose` is that of thumbnails."""

    def scaled(one: Photo) -> NDArray[np.float64]:
        across, down = one.size[0] / THUMB, one.size[1] / THUMB
        return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])

    whole = np.vstack([pose, [0, 0, 1]])
    return np.asarray((scaled(second) @ whole @ np.linalg.inv(scaled(first)))[:2], np.float64)


def between_halves(way: Pose, first: Photo, second: Photo, back: bool = False) -> Pose:
    """The map between the halved pictures for one between the whole ones; `back`: the reverse."""

    def scaled(one: Photo) -> NDArray[np.float64]:
        across, down = (whole / half for whole, half in zip(one.size, one.halved.size))
        return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])

    whole = np.vstack([way, [0, 0, 1]])
    if back:
        found = scaled(second) @ whole @ np.linalg.inv(scaled(first))
    else:
        found = np.linalg.inv(scaled(second)) @ whole @ scaled(first)
    return np.asarray(found[:2], np.float64)

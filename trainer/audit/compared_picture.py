"""A picture prepared for the pixel comparison: at most 224 × 224 in area, under standard light."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from trainer.audit.fingerprint import Grey, Plane, resized, standard_light, unfilled_mask

COMPARED_SIDE = 224  # square root of the compared area: networks of this field see no more
CLIPPED_LEVELS = (2, 253)
MAX_CLIPPED_SHARE = 0.5  # of the picture: above it the picture is black and white by design
MAX_POINTS = 400  # key points a picture: a tilted copy may share too few of a fingerprint's 64


@dataclass(frozen=True, slots=True)
class HalfPicture:
    """A compared picture at half the side, for the first check; `inner` is as of the picture."""

    grey: Plane
    levelled: Plane
    inner: Grey


@dataclass(frozen=True)
class ComparedPicture:
    """A picture prepared for the comparison. What only some comparisons need is made when asked.

    - `grey`: uint8, (height, width), at most 224 × 224 in area.
    - `valid`: 255 where it has content: neither filled by an editor nor clipped.
    - `levelled`: `grey` under standard light.
    """

    grey: Grey
    valid: Grey
    levelled: Grey

    @cached_property
    def inner(self) -> Grey:
        """`valid` without a border of 2 px, which interpolation mixes with the outside."""
        return _inner(self.valid)

    @cached_property
    def half(self) -> "HalfPicture":
        """The picture at half the side."""
        size = (self.grey.shape[1] // 2, self.grey.shape[0] // 2)

        def half(plane: Grey, how: int) -> Grey:
            even = plane[: 2 * size[1], : 2 * size[0]]  # exactly half: poses then convert exactly
            return np.asarray(cv2.resize(even, size, interpolation=how), np.uint8)

        return HalfPicture(
            half(self.grey, cv2.INTER_AREA).astype(np.float32),
            half(self.levelled, cv2.INTER_AREA).astype(np.float32),
            half(self.inner, cv2.INTER_NEAREST),
        )

    @cached_property
    def key_points(self) -> tuple[Plane, Grey]:
        """Places, float32, (k, 2), in pixels, and SIFT, uint8, (k, 128); k is at most 400."""
        finder = cv2.SIFT.create(nfeatures=MAX_POINTS, contrastThreshold=0.01)
        keypoints, descriptors = finder.detectAndCompute(self.levelled, self.inner)
        points = np.array([point.pt for point in keypoints], np.float32).reshape(-1, 2)
        if descriptors is None:
            descriptors = np.empty((0, 128), np.float32)
        return points, np.asarray(descriptors, np.uint8)


def compared_picture(grey: Grey) -> ComparedPicture:
    """Prepares a grey picture, uint8, (height, width), for the comparison."""
    small = resized(grey, COMPARED_SIDE) if grey.size > COMPARED_SIDE**2 else grey
    valid = unfilled_mask(small)
    low, high = CLIPPED_LEVELS
    clipped = ((small < low) | (small > high)).astype(np.uint8)
    # A single clipped pixel is a highlight; a clipped neighbourhood has no content.
    clipped = np.asarray(cv2.erode(clipped, np.ones((5, 5), np.uint8)), np.uint8)
    clipped = np.asarray(cv2.dilate(clipped, np.ones((7, 7), np.uint8)), np.uint8)
    if clipped.mean() < MAX_CLIPPED_SHARE:
        valid[clipped > 0] = 0
    return ComparedPicture(small, valid, standard_light(small, valid))


def _inner(valid: Grey) -> Grey:
    """The mask without a border of 2 px, which interpolation mixes with the outside."""
    kernel, border = np.ones((5, 5), np.uint8), cv2.BORDER_CONSTANT
    return np.asarray(cv2.erode(valid, kernel, borderType=border, borderValue=0), np.uint8)

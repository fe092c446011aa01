"""The frame tap shows the next frame of a camera once to every waiting request."""

import numpy as np

from edge.capture.camera import Pixels
from edge.capture.frame_tap import FrameTap
from edge.core.image import EncodedPicture

PICTURE = np.zeros((4, 4, 3), np.uint8)


def test_each_request_gets_the_next_frame_once() -> None:
    """Two requests and two frames: both requests get the first frame, and nothing else."""
    tap = FrameTap()
    seen: list[tuple[str, Pixels | EncodedPicture]] = []
    assert tap.add(lambda pixels: seen.append(("a", pixels)))
    assert tap.add(lambda pixels: seen.append(("b", pixels)))
    tap.deliver(PICTURE)
    tap.deliver(PICTURE + 1)
    assert [name for name, _ in seen] == ["a", "b"]
    assert all(pixels is PICTURE for _, pixels in seen)


def test_a_removed_request_gets_no_frame() -> None:
    """Removing it twice does no harm."""
    tap = FrameTap()
    seen: list[Pixels | EncodedPicture] = []
    show = seen.append
    tap.add(show)
    tap.remove(show)
    tap.remove(show)
    tap.deliver(PICTURE)
    assert seen == []


def test_the_number_of_requests_is_limited() -> None:
    """The ninth request is refused; after the next frame there is room again."""
    tap = FrameTap()
    assert all(tap.add(lambda _pixels: None) for _ in range(8))
    assert not tap.add(lambda _pixels: None)
    tap.deliver(PICTURE)
    assert tap.add(lambda _pixels: None)

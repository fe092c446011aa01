"""Whoever asks for a look gets the camera's next picture, once."""

import numpy as np

from edge.capture.camera import Pixels
from edge.capture.glances import Glances
from edge.picture import Encoded

PICTURE = np.zeros((4, 4, 3), np.uint8)


def test_each_who_asked_sees_the_next_picture_once() -> None:
    """Two ask, one picture comes, a second comes: each has seen the first alone."""
    glances = Glances()
    seen: list[tuple[str, Pixels | Encoded]] = []
    assert glances.ask(lambda pixels: seen.append(("a", pixels)))
    assert glances.ask(lambda pixels: seen.append(("b", pixels)))
    glances.look(PICTURE)
    glances.look(PICTURE + 1)
    assert [who for who, _ in seen] == ["a", "b"]
    assert all(pixels is PICTURE for _, pixels in seen)


def test_who_withdraws_is_not_shown() -> None:
    """A look that is not wanted any more is not given."""
    glances = Glances()
    seen: list[Pixels | Encoded] = []
    show = seen.append
    glances.ask(show)
    glances.withdraw(show)
    glances.withdraw(show)
    glances.look(PICTURE)
    assert seen == []


def test_too_many_are_sent_away() -> None:
    """The ninth who asks is refused, and welcome after the next picture."""
    glances = Glances()
    assert all(glances.ask(lambda _pixels: None) for _ in range(8))
    assert not glances.ask(lambda _pixels: None)
    glances.look(PICTURE)
    assert glances.ask(lambda _pixels: None)

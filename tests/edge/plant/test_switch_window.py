"""When a switch may take place."""

from datetime import datetime

import pytest

from edge.config import WindowConfig
from edge.plant import SwitchWindow


class Line:
    """A line whose clock and parts a test sets."""

    def __init__(self, **config: object) -> None:
        self.config = WindowConfig.model_validate(config)
        self.idle_s, self.tick = 0.0, 100.0
        self.local = datetime(2026, 12, 1, 12, 0).astimezone()
        self.window = SwitchWindow(
            lambda: self.config,
            lambda: self.idle_s,
            lambda: self.local.timestamp(),  # noqa: PLW0108  a test sets another time
            lambda: self.tick,
        )


def test_without_a_window_a_switch_may_always_take_place() -> None:
    """The default."""
    assert Line().window.why_closed() is None


def test_idle() -> None:
    """So many seconds without a part."""
    line = Line(idle_s=10.0)
    assert line.window.why_closed() == "10 s without a part"
    line.idle_s = 10.0
    assert line.window.why_closed() is None


@pytest.mark.parametrize(
    ("at", "is_open"), [("21:59", False), ("22:00", True), ("05:29", True), ("05:30", False)]
)
def test_times_of_the_day_may_pass_midnight(at: str, is_open: bool) -> None:
    """The end does not belong to it."""
    line = Line(times=("22:00-05:30",))
    line.local = line.local.replace(hour=int(at[:2]), minute=int(at[3:]))
    assert (line.window.why_closed() is None) == is_open


def test_one_of_several_times_is_enough() -> None:
    """Breaks."""
    line = Line(times=("09:00-09:15", "12:00-12:30"))
    assert line.window.why_closed() is None
    line.local = line.local.replace(hour=10)
    assert line.window.why_closed() == "the time of the day (09:00-09:15, 12:00-12:30)"


def test_a_permit_ends() -> None:
    """After its seconds, or when it is taken back."""
    line = Line(permit=True)
    assert line.window.why_closed() == "a permit of the plant"
    line.window.permit(30)
    assert line.window.why_closed() is None
    line.tick += 30
    assert line.window.why_closed() == "a permit of the plant"
    line.window.permit(30)
    line.window.permit(0)
    assert line.window.why_closed() == "a permit of the plant"


def test_all_that_is_set_must_hold() -> None:
    """And the sentence names all that is missing."""
    line = Line(idle_s=5.0, permit=True)
    assert line.window.why_closed() == "5 s without a part and a permit of the plant"
    line.idle_s = 5.0
    assert line.window.why_closed() == "a permit of the plant"

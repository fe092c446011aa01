"""The handler that leaves repeated lines out and counts them."""

import io
import logging

from edge.monitoring.logs import RateLimitedHandler
from tests.support.clock import FakeClock


def say(handler: RateLimitedHandler, message: str, *args: object) -> None:
    """One line."""
    handler.handle(logging.LogRecord("edge.x", logging.ERROR, "x.py", 1, message, args, None))


def test_five_then_one_an_hour_with_the_count(clock: FakeClock) -> None:
    """The first five at once, then gaps that double; none is forgotten in the count."""
    text = io.StringIO()
    handler = RateLimitedHandler(text, clock.tick)
    for _ in range(10):
        say(handler, "camera %s: %s", "top", "lost")
        clock.at += 400.0
    assert text.getvalue().splitlines() == ["camera top: lost"] * 5
    clock.at += 1300.0
    say(handler, "camera %s: %s", "top", "lost")
    assert text.getvalue().splitlines()[5:] == [
        "camera top: lost (5 more like this were not logged)"
    ]


def test_numbers_make_no_other_kind_but_names_do(clock: FakeClock) -> None:
    """Sentences that differ in a number are one kind; another camera is another kind."""
    text = io.StringIO()
    handler = RateLimitedHandler(text, clock.tick)
    for number in range(50):
        say(handler, "camera %s: %s", "cam1", f"no frame for {number}.5 s")
        say(handler, "camera %s: %s", "cam2", f"no frame for {number}.5 s")
        say(handler, "verdict %d is parked", number)
    said = text.getvalue()
    assert said.count("cam1") == said.count("cam2") == said.count("parked") == 5


def test_a_kind_that_was_quiet_begins_anew(clock: FakeClock) -> None:
    """After an hour of quiet the next is told at once, with what was left out before."""
    text = io.StringIO()
    handler = RateLimitedHandler(text, clock.tick)
    for _ in range(8):
        say(handler, "lost")
    clock.at += 3601.0
    say(handler, "lost")
    say(handler, "lost")
    assert text.getvalue().splitlines()[5:] == [
        "lost (3 more like this were not logged)",
        "lost",
    ]


def test_the_record_stays_as_it_was(clock: FakeClock) -> None:
    """Other handlers see the line as it was said."""
    handler = RateLimitedHandler(io.StringIO(), clock.tick)
    for _ in range(6):
        say(handler, "lost")
    clock.at += 3600.0
    record = logging.LogRecord("edge.x", logging.ERROR, "x.py", 1, "lost", (), None)
    handler.handle(record)
    assert record.getMessage() == "lost"

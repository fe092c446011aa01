"""The log handler that limits the rate of repeated lines."""

import io
import logging

from edge.core.logs import RateLimitedHandler
from tests.support.clock import FakeClock


def emit(handler: RateLimitedHandler, message: str, *args: object) -> None:
    """One line."""
    handler.handle(logging.LogRecord("edge.x", logging.ERROR, "x.py", 1, message, args, None))


def test_five_then_one_an_hour_with_the_count(clock: FakeClock) -> None:
    """Five lines at once, then gaps that double; each line tells how many were suppressed."""
    text = io.StringIO()
    handler = RateLimitedHandler(text, clock.tick)
    for _ in range(10):
        emit(handler, "camera %s: %s", "top", "lost")
        clock.at += 400.0
    assert text.getvalue().splitlines() == ["camera top: lost"] * 5
    clock.at += 1300.0
    emit(handler, "camera %s: %s", "top", "lost")
    assert text.getvalue().splitlines()[5:] == [
        "camera top: lost (5 more like this were not logged)"
    ]


def test_names_make_another_kind_but_numbers_do_not(clock: FakeClock) -> None:
    """Sentences that differ in a number are one kind; another camera is another kind."""
    text = io.StringIO()
    handler = RateLimitedHandler(text, clock.tick)
    for number in range(50):
        emit(handler, "camera %s: %s", "cam1", f"no frame for {number}.5 s")
        emit(handler, "camera %s: %s", "cam2", f"no frame for {number}.5 s")
        emit(handler, "verdict %d is parked", number)
    written = text.getvalue()
    assert written.count("cam1") == written.count("cam2") == written.count("parked") == 5


def test_a_quiet_kind_starts_again(clock: FakeClock) -> None:
    """After an hour without lines the next is written at once, with the suppressed number."""
    text = io.StringIO()
    handler = RateLimitedHandler(text, clock.tick)
    for _ in range(8):
        emit(handler, "lost")
    clock.at += 3601.0
    emit(handler, "lost")
    emit(handler, "lost")
    assert text.getvalue().splitlines()[5:] == [
        "lost (3 more like this were not logged)",
        "lost",
    ]


def test_the_record_stays_as_it_was(clock: FakeClock) -> None:
    """Other handlers get the original record."""
    handler = RateLimitedHandler(io.StringIO(), clock.tick)
    for _ in range(6):
        emit(handler, "lost")
    clock.at += 3600.0
    record = logging.LogRecord("edge.x", logging.ERROR, "x.py", 1, "lost", (), None)
    handler.handle(record)
    assert record.getMessage() == "lost"

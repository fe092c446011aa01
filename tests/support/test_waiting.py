"""The polling helper of the tests."""

import pytest

from tests.support.waiting import wait_until


def test_it_returns_the_seconds_that_it_waited() -> None:
    """The condition is checked until it gives something true."""
    answers = iter(["", 0, None, "yes"])
    waited_s = wait_until(lambda: next(answers), poll_s=0.01)
    assert next(answers, "end") == "end"
    assert 0.03 <= waited_s < 60


def test_a_timeout_says_what_did_not_happen() -> None:
    """The error names the condition and the timeout."""
    with pytest.raises(AssertionError, match=r"after 0 s still not: a verdict arrives"):
        wait_until(lambda: False, "a verdict arrives", 0)

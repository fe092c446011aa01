"""Waits in real time until other threads or processes have done something."""

import time
from collections.abc import Callable

TIMEOUT_S = 60.0
_POLL_S = 0.005


def wait_until(
    condition: Callable[[], object], what: str = "the condition holds", timeout_s: float = TIMEOUT_S
) -> None:
    """Returns as soon as `condition` gives something true. Raises AssertionError after the timeout.

    `what` completes the sentence "after 60 s still not: …".
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s:g} s still not: {what}")
        time.sleep(_POLL_S)

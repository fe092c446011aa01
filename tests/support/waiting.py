"""Waits in real time for other threads or processes."""

import time
from collections.abc import Callable

TIMEOUT_S = 60.0
_POLL_S = 0.005


def wait_until(
    condition: Callable[[], object],
    what: str = "the condition holds",
    timeout_s: float = TIMEOUT_S,
    *,
    poll_s: float = _POLL_S,
) -> float:
    """Waits until `condition` is true. Returns the seconds. Raises AssertionError on timeout.

    - `what`: completes the sentence "after 60 s still not: …".
    - `poll_s`: pause between two checks; longer for expensive conditions.
    """
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_s:
            raise AssertionError(f"after {timeout_s:g} s still not: {what}")
        time.sleep(poll_s)
    return time.monotonic() - started

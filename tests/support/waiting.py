"""Waits in real time until other threads or processes have done something."""

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
    """Returns as soon as `condition` gives something true: after how many seconds. Raises
    AssertionError after the timeout.

    what: completes the sentence "after 60 s still not: …".
    poll_s: pause between two checks; longer for conditions that cost much.
    """
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > timeout_s:
            raise AssertionError(f"after {timeout_s:g} s still not: {what}")
        time.sleep(poll_s)
    return time.monotonic() - begun

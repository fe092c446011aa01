"""Whether anybody waits for a camera's pictures just now.

While nobody does, a camera's process goes on taking every JPEG from its driver, so that none is
old, and has its eye on whether the camera stands still; but it decodes one in two seconds.
"""

import threading
from collections.abc import Callable

LOOK_S = 2.0  # so often an idle camera is looked at: whether it is dark, covered, or gone


class Idle:
    """Between who asks for a picture and who comes to want one meanwhile. Safe between threads."""

    def __init__(self, wanted: Callable[[], bool]) -> None:
        """`wanted`: whether a picture is waited for; must turn True before `hurry` is called."""
        self._wanted = wanted
        self._hurry: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def ask(self, ask: Callable[[bool], None], hurry: Callable[[], None]) -> None:
        """Calls `ask(idle)`. When `hurry` is called from without before `answered`, so is that."""
        with self._lock:  # who comes to want one now is seen here, or comes after and hurries
            idle = not self._wanted()
            ask(idle)
            self._hurry = hurry if idle else None

    def answered(self) -> None:
        """The picture has come, or never will."""
        with self._lock:
            self._hurry = None

    def hurry(self) -> None:
        """Somebody waits for a picture from now on."""
        with self._lock:
            hurry, self._hurry = self._hurry, None
            if hurry is not None:
                hurry()

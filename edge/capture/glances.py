"""Somebody wants to see what a camera sees: its next picture is shown to them, whatever is thought
of it, besides going its usual way."""

import threading
from collections import deque
from collections.abc import Callable

from edge.capture.camera import Pixels
from edge.picture import Encoded

Show = Callable[[Pixels | Encoded], None]
_MOST = 8  # people who may look at once


class Glances:
    """Who waits for the next picture of one camera. Safe between threads."""

    def __init__(self) -> None:
        self._waiting: deque[Show] = deque()
        self._lock = threading.Lock()

    def ask(self, show: Show) -> bool:
        """`show` is called once, on the camera's thread, with the next picture: uint8, (height,
        width, 3), BGR, not to be written to, or not decoded yet. It must return at once.
        False: too many wait."""
        with self._lock:
            if len(self._waiting) >= _MOST:
                return False
            self._waiting.append(show)
            return True

    def withdraw(self, show: Show) -> None:
        """Not wanted any more."""
        with self._lock:
            if show in self._waiting:
                self._waiting.remove(show)

    def look(self, picture: Pixels | Encoded) -> None:
        """The camera has a picture."""
        if not self._waiting:  # the usual case, and cheap: a picture more or less does not matter
            return
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for show in waiting:
            show(picture)

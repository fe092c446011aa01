"""The frame tap: shows the next frame of a camera to requests for a snapshot."""

import threading
from collections import deque
from collections.abc import Callable

from edge.capture.camera import Pixels
from edge.core.image import EncodedPicture

Show = Callable[[Pixels | EncodedPicture], None]

_MAX_TAPS = 8  # requests that may wait for a frame of one camera


class FrameTap:
    """Shows the next frame of one camera once, also a rejected one. Safe between threads.

    The frame also goes to the mailbox.
    """

    def __init__(self) -> None:
        self._waiting: deque[Show] = deque()
        self._lock = threading.Lock()

    def add(self, show: Show) -> bool:
        """Calls `show` once with the next frame; False when too many wait.

        `show` runs on the camera's thread and must return at once. It gets BGR uint8 pixels,
        (height, width, 3), read only, or a picture that is not decoded yet.
        """
        with self._lock:
            if len(self._waiting) >= _MAX_TAPS:
                return False
            self._waiting.append(show)
            return True

    def remove(self, show: Show) -> None:
        """`show` is not called any more."""
        with self._lock:
            if show in self._waiting:
                self._waiting.remove(show)

    def deliver(self, picture: Pixels | EncodedPicture) -> None:
        """Shows a frame to all that wait."""
        if not self._waiting:  # nearly always; a request that comes now gets the next frame
            return
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for show in waiting:
            show(picture)

"""The demand gate of a JPEG camera: its process decodes a frame only when one is needed.

While no frame is needed, the camera process still takes every JPEG from its driver. So no frame is
old, and a frozen camera is noticed. It decodes one frame every two seconds.
"""

import threading
from collections.abc import Callable

IDLE_INTERVAL_S = 2.0  # an idle camera is checked this often: it may be dark, covered or gone


class DemandGate:
    """Marks requests for frames as idle or urgent. Safe between threads."""

    def __init__(
        self, needed: Callable[[], bool], *, idle_interval_s: float = IDLE_INTERVAL_S
    ) -> None:
        """The gate of one camera.

        needed           whether a frame is needed now; it must return True before `expedite` is
                         called
        idle_interval_s  seconds between two frames while none is needed
        """
        self._needed = needed
        self.idle_interval_s = idle_interval_s
        self._pending: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def request(self, send: Callable[[bool], None], expedite: Callable[[], None]) -> None:
        """Calls `send(idle)` to request a frame.

        `expedite()` makes an idle request urgent. It is called at most once, before `answered`.
        """
        with self._lock:  # a need that arises now is seen here, or calls `expedite` afterwards
            idle = not self._needed()
            send(idle)
            self._pending = expedite if idle else None

    def answered(self) -> None:
        """The frame has arrived, or will never arrive."""
        with self._lock:
            self._pending = None

    def expedite(self) -> None:
        """A frame is needed from now on: makes a pending idle request urgent."""
        with self._lock:
            pending, self._pending = self._pending, None
            if pending is not None:
                pending()

"""The demand gate of a JPEG camera: its process decodes a frame only when one is needed.

While no frame is needed, the camera process still takes every JPEG from its driver. So no frame is
old, and a frozen camera is noticed. It decodes one frame every two seconds.
"""

import threading
from collections.abc import Callable

LOOK_S = 2.0  # an idle camera is checked this often: it may be dark, covered or gone


class DemandGate:
    """Passes requests on as idle or urgent ones. Safe between threads."""

    def __init__(self, wanted: Callable[[], bool], *, look_s: float = LOOK_S) -> None:
        """The gate of one camera.

        wanted  whether a frame is needed now; it must return True before `hurry` is called
        look_s  seconds between two frames while none is needed
        """
        self._wanted = wanted
        self.look_s = look_s
        self._hurry: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def ask(self, ask: Callable[[bool], None], hurry: Callable[[], None]) -> None:
        """Calls `ask(idle)` to request a frame. An idle request becomes urgent by `hurry()`, which
        is called at most once, and only before `answered`."""
        with self._lock:  # a need that arises now is either seen here or calls `hurry` afterwards
            idle = not self._wanted()
            ask(idle)
            self._hurry = hurry if idle else None

    def answered(self) -> None:
        """The frame has arrived, or will never arrive."""
        with self._lock:
            self._hurry = None

    def hurry(self) -> None:
        """A frame is needed from now on."""
        with self._lock:
            hurry, self._hurry = self._hurry, None
            if hurry is not None:
                hurry()

"""The first hand-over: from cameras to inspection, one frame a camera, newest wins.

Live cameras `offer`: a frame that nobody took is replaced, and counted. Sources that bring items
`put`: they wait until the one before is taken, so nothing is replaced.
"""

import threading

from edge.environment import Stop
from edge.frame import Frame

_WAKE_S = 0.25  # how late a stop may be noticed while a source waits with its item


class Mailbox:
    """One slot a camera, taken in turn so that a fast camera cannot starve a slow one."""

    def __init__(self) -> None:
        self._slots: dict[str, Frame] = {}
        self._replaced: dict[str, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def offer(self, frame: Frame) -> None:
        """Puts a live frame, replacing one that was not taken. A fault is never replaced by a
        picture: each lost camera is heard of."""
        with self._changed:
            waiting = self._slots.get(frame.camera)
            if waiting is not None and waiting.fault is not None and frame.fault is None:
                self._count_replaced(frame.camera)
                return
            if waiting is not None:
                self._count_replaced(frame.camera)
            self._slots[frame.camera] = frame
            self._changed.notify_all()

    def put(self, frame: Frame, stop: Stop) -> bool:
        """Puts an item, waiting for its slot; False when the daemon stops instead."""
        with self._changed:
            while frame.camera in self._slots:
                if stop.is_set():
                    return False
                self._changed.wait(_WAKE_S)
            if stop.is_set():
                return False
            self._slots[frame.camera] = frame
            self._changed.notify_all()
            return True

    def take(self, timeout: float) -> Frame | None:
        """The next frame, oldest slot first; None after `timeout` seconds, or closed and empty."""
        with self._changed:
            if not self._slots and not self._closed:
                self._changed.wait(timeout)
            if not self._slots:
                return None
            frame = self._slots.pop(next(iter(self._slots)))
            self._changed.notify_all()
            return frame

    def close(self) -> None:
        """No frame comes any more: `take` hands out what is left and then returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """Closed, and everything was taken."""
        with self._changed:
            return self._closed and not self._slots

    def replaced(self, camera: str) -> int:
        """How many frames of this camera were replaced before anyone took them."""
        with self._changed:
            return self._replaced.get(camera, 0)

    def _count_replaced(self, camera: str) -> None:
        self._replaced[camera] = self._replaced.get(camera, 0) + 1

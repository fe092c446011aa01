"""The first hand-over: from cameras to inspection, one frame a camera, newest wins.

Live cameras `offer`: a frame that nobody took is replaced, and counted. Sources that bring items
`put`: they wait while a few of theirs are not taken yet, so nothing is replaced. Of a camera with a
trigger only the frames of its parts are kept; each of them is handed over, none is replaced.
"""

import threading
from collections import deque
from collections.abc import Mapping

from edge.capture.tracker import Tracker
from edge.environment import Stop
from edge.frame import Frame
from edge.part import Shot

_ITEMS = 4  # of one source, still encoded: so it is woken once for several, not for each
_WAKE_S = 0.25  # how late a stop may be noticed while a source waits with its item


class Mailbox:
    """Cameras are taken from in turn, so that a fast one cannot starve a slow one."""

    def __init__(self, trackers: Mapping[str, Tracker] | None = None, items: int = _ITEMS) -> None:
        """`trackers`: of the cameras that have a trigger, by camera; may change meanwhile. `items`:
        how many of one source may wait."""
        self._items = items
        self._trackers = trackers if trackers is not None else {}
        self._shots: deque[Shot] = deque()  # bounded by each tracker's queue and frames
        self._woken = self._parts_turn = False
        self._slots: dict[str, deque[Frame]] = {}  # of a live camera one frame
        self._replaced: dict[str, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def offer(self, frame: Frame) -> None:
        """Puts a live frame, replacing one that was not taken. A fault is never replaced by a
        picture: each lost camera is heard of. A camera with a trigger gives to its parts alone."""
        tracker = self._trackers.get(frame.camera)
        with self._changed:
            if tracker is not None:
                shots = tracker.match(frame)
                self._shots.extend(shots)
                if shots:
                    self._changed.notify_all()
                return
            slot = self._slots.setdefault(frame.camera, deque())
            if slot:
                self._count_replaced(frame.camera)
                if slot[0].fault is not None and frame.fault is None:
                    return
                slot.clear()
            slot.append(frame)
            self._changed.notify_all()

    def put(self, frame: Frame, stop: Stop) -> bool:
        """Puts an item, waiting for room; False when the daemon stops instead."""
        with self._changed:
            slot = self._slots.get(frame.camera)
            while slot is not None and len(slot) >= self._items:
                if stop.is_set():
                    return False
                self._changed.wait(_WAKE_S)
                slot = self._slots.get(frame.camera)
            if stop.is_set():
                return False
            self._slots.setdefault(frame.camera, deque()).append(frame)
            self._changed.notify_all()
            return True

    def passed_by(self, camera: str, why: str) -> None:
        """A picture came that is not judged: a part that waits in vain can say `why`."""
        tracker = self._trackers.get(camera)
        if tracker is not None:
            tracker.fault = why

    def wake(self) -> None:
        """Ends the present or next `take` without a frame: a deadline may have become nearer."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def take(self, timeout: float) -> Frame | Shot | None:
        """The next frame, of a part and of a slot in turn, the oldest first; None after `timeout`
        seconds, when woken, or closed and empty."""
        with self._changed:
            if not (self._slots or self._shots or self._closed or self._woken):
                self._changed.wait(timeout)
            self._woken = False
            # in turn, so that neither parts nor cameras without a trigger starve the others
            self._parts_turn = not self._parts_turn or not self._slots
            if self._shots and self._parts_turn:
                return self._shots.popleft()
            if not self._slots:
                return None
            camera = next(iter(self._slots))
            slot = self._slots.pop(camera)
            frame = slot.popleft()
            if slot:
                self._slots[camera] = slot  # behind the others
            if 2 * len(slot) <= self._items:
                self._changed.notify_all()
            return frame

    def another(self, camera: str) -> Frame | None:
        """One more frame of a camera of which one was just taken, without waiting; None also when
        somebody else waits for a turn."""
        with self._changed:
            slot = self._slots.get(camera)
            if slot is None or self._shots or len(self._slots) > 1:
                return None
            frame = slot.popleft()
            if not slot:
                del self._slots[camera]
            if 2 * len(slot) <= self._items:
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
            return self._closed and not self._slots and not self._shots

    def waiting(self, camera: str) -> bool:
        """Whether a frame of this camera was not taken yet."""
        with self._changed:
            shots = any(shot.part.camera == camera for shot in self._shots)
            return shots or camera in self._slots

    def forget(self, camera: str) -> None:
        """The camera has gone, and with it what was not taken. A live frame counts as replaced."""
        with self._changed:
            for _ in self._slots.pop(camera, ()):
                self._count_replaced(camera)
            self._shots = deque(shot for shot in self._shots if shot.part.camera != camera)
            self._changed.notify_all()

    def replaced(self, camera: str) -> int:
        """How many frames of this camera were replaced before anyone took them."""
        with self._changed:
            return self._replaced.get(camera, 0)

    def _count_replaced(self, camera: str) -> None:
        self._replaced[camera] = self._replaced.get(camera, 0) + 1

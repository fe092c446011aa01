"""Hands frames from camera threads to one inspection worker: one frame per camera, newest wins.

Live cameras `offer`: a new frame replaces one that was not taken, and the mailbox counts it.
Sources that bring files `put`: they wait while their queue is full, so no file is replaced. Of a
camera with a trigger the mailbox keeps only the frames of its parts, and replaces none of them.
"""

import threading
from collections import deque
from collections.abc import Mapping

from edge.core.clock import StopEvent
from edge.core.frame import Frame
from edge.core.part import PartFrame
from edge.pipeline.part_tracker import PartTracker

_ITEMS = 16  # files of one source: it is woken once for several, not for each
_ITEMS_BYTES = 4 * 2**20  # a source waits while its files hold this much
_WAKE_S = 0.25  # how late a stop may be noticed while a source waits with its item


class _Slot:
    """Frames of one camera, in order, and the bytes of their pictures."""

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()
        self.bytes = 0

    def add(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.bytes += frame.nbytes

    def pop(self) -> Frame:
        frame = self.frames.popleft()
        self.bytes -= frame.nbytes
        return frame

    def clear(self) -> None:
        self.frames.clear()
        self.bytes = 0

    def is_full(self, items: int) -> bool:
        return len(self.frames) >= items or self.bytes >= _ITEMS_BYTES

    def is_low(self, items: int) -> bool:
        """Whether it is time to wake a source that waits for room."""
        return 2 * len(self.frames) <= items and self.bytes < _ITEMS_BYTES


class Mailbox:
    """Cameras are taken from in turn, so that a fast one cannot starve a slow one."""

    def __init__(
        self, trackers: Mapping[str, PartTracker] | None = None, items: int = _ITEMS
    ) -> None:
        """`trackers`: of the cameras that have a trigger, by camera; may change. `items`: how many
        files of one source may wait."""
        self._items = items
        self._trackers = trackers if trackers is not None else {}
        self._shots: deque[PartFrame] = deque()  # bounded by each tracker's queue and frames
        self._woken = self._parts_turn = False
        self._slots: dict[str, _Slot] = {}  # none is empty; of a live camera one frame
        self._replaced: dict[str, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def offer(self, frame: Frame) -> None:
        """Puts a live frame, and replaces one that was not taken. A picture never replaces a fault:
        each lost camera gets its verdict. Frames of a camera with a trigger go to its parts."""
        tracker = self._trackers.get(frame.camera)
        with self._changed:
            if tracker is not None:
                shots = tracker.match(frame)
                self._shots.extend(shots)
                if shots:
                    self._changed.notify_all()
                return
            slot = self._slots.setdefault(frame.camera, _Slot())
            if slot.frames:
                self._count_replaced(frame.camera)
                if slot.frames[0].fault is not None and frame.fault is None:
                    return
                slot.clear()
            slot.add(frame)
            self._changed.notify_all()

    def put(self, frame: Frame, stop: StopEvent) -> bool:
        """Puts an item, waiting for room; False when the daemon stops instead."""
        with self._changed:
            slot = self._slots.get(frame.camera)
            while slot is not None and slot.is_full(self._items):
                if stop.is_set():
                    return False
                self._changed.wait(_WAKE_S)
                slot = self._slots.get(frame.camera)
            if stop.is_set():
                return False
            self._slots.setdefault(frame.camera, _Slot()).add(frame)
            self._changed.notify_all()
            return True

    def note_rejected(self, camera: str, why: str) -> None:
        """Notes why a picture is not judged. A part that gets no picture names it as the reason."""
        tracker = self._trackers.get(camera)
        if tracker is not None:
            tracker.fault = why

    def wake(self) -> None:
        """Ends the present or next `take` without a frame: a deadline may have become nearer."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def take(self, timeout: float) -> Frame | PartFrame | None:
        """The next frame, of a part and of a slot in turn, the oldest first; None after `timeout`
        seconds, when woken, or closed and empty."""
        with self._changed:
            if not self._slots and not self._shots and not self._closed and not self._woken:
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
            if len(slot.frames) > 1:
                self._slots[camera] = slot  # behind the others
            return self._next_of(slot)

    def another(self, camera: str) -> Frame | None:
        """One more frame of a camera of which one was just taken, without waiting. None also when
        frames of others wait."""
        with self._changed:
            slot = self._slots.get(camera)
            if slot is None or self._shots or len(self._slots) > 1:
                return None
            if len(slot.frames) == 1:
                del self._slots[camera]
            return self._next_of(slot)

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
        """Drops what a camera left behind. A live frame counts as replaced."""
        with self._changed:
            if (slot := self._slots.pop(camera, None)) is not None:
                for _ in slot.frames:
                    self._count_replaced(camera)
            self._shots = deque(shot for shot in self._shots if shot.part.camera != camera)
            self._changed.notify_all()

    def replaced(self, camera: str) -> int:
        """How many frames of this camera were replaced before they were taken."""
        with self._changed:
            return self._replaced.get(camera, 0)

    def _next_of(self, slot: _Slot) -> Frame:
        frame = slot.pop()
        if slot.is_low(self._items):
            self._changed.notify_all()
        return frame

    def _count_replaced(self, camera: str) -> None:
        self._replaced[camera] = self._replaced.get(camera, 0) + 1

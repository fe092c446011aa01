"""The mailbox between camera threads and one inspection worker: one frame per camera, newest wins.

Live cameras `offer`: a new frame replaces one that was not taken, and the mailbox counts it.
File sources `put`: they wait while their queue is full, so no file is replaced.
Of a camera with a trigger, the mailbox keeps all frames of its parts and no others.
"""

import threading
from collections import deque
from collections.abc import Mapping

from edge.core.clock import StopEvent
from edge.core.frame import Frame
from edge.core.part import PartFrame
from edge.core.threads import CopyOnWriteDict
from edge.pipeline.part_tracker import PartTracker

_ITEMS = 16  # files of one source that may wait
_ITEMS_BYTES = 4 * 2**20  # a source waits while its files hold this much
_WAKE_S = 0.25  # a source that waits for room checks for a stop at this interval


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
        """Whether to wake a source that waits for room: once for several files, not for each."""
        return 2 * len(self.frames) <= items and self.bytes < _ITEMS_BYTES


class Mailbox:
    """Takes from cameras in turn, so that a fast one cannot starve a slow one.

    trackers: of the cameras that have a trigger, by camera; may change.
    """

    def __init__(
        self, trackers: Mapping[str, PartTracker] | None = None, capacity: int = _ITEMS
    ) -> None:
        """`capacity`: the number of files of one source that may wait."""
        self.trackers = CopyOnWriteDict(trackers)
        self._capacity = capacity
        self._part_frames: deque[PartFrame] = deque()  # bounded by each tracker's queue and frames
        self._woken = self._parts_turn = False
        self._slots: dict[str, _Slot] = {}  # never empty; a live camera's holds one frame
        self._replaced: dict[str, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def inlet(self) -> "Inlet":
        """A way into this mailbox for one reader."""
        return Inlet(self, self._changed)

    def offer(self, frame: Frame, inlet: "Inlet | None" = None) -> None:
        """Puts a live frame, and replaces one that was not taken. A picture never replaces a fault:
        each lost camera gets its verdict. Frames of a camera with a trigger go to its parts."""
        with self._changed:
            if inlet is not None and inlet.closed:
                return
            tracker = self.trackers.get(frame.camera)
            if tracker is not None:
                part_frames = tracker.match(frame)
                self._part_frames.extend(part_frames)
                if part_frames:
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

    def put(self, frame: Frame, stop: StopEvent, inlet: "Inlet | None" = None) -> bool:
        """Puts a file's frame, waiting for room. False: the camera or the daemon stops instead."""

        def stopped() -> bool:
            return stop.is_set() or (inlet is not None and inlet.closed)

        with self._changed:
            while not stopped() and not self._has_room(frame.camera, inlet):
                self._changed.wait(_WAKE_S)
            if stopped():
                return False
            self._slots.setdefault(frame.camera, _Slot()).add(frame)
            self._changed.notify_all()
            return True

    def note_rejected(self, camera: str, why: str) -> None:
        """A picture of this camera is not judged. A part that gets no picture names the reason."""
        tracker = self.trackers.get(camera)
        if tracker is not None:
            tracker.fault = why

    def wake(self) -> None:
        """Ends the current or next `take` without a frame: a deadline may have become nearer."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def take(self, timeout: float) -> Frame | PartFrame | None:
        """The next frame, the oldest first. None after `timeout` seconds, after `wake`, or when
        closed and empty."""
        with self._changed:
            if not self._slots and not self._part_frames and not self._closed and not self._woken:
                self._changed.wait(timeout)
            self._woken = False
            # in turn, so that neither parts nor cameras without a trigger starve the others
            self._parts_turn = not self._parts_turn or not self._slots
            if self._part_frames and self._parts_turn:
                return self._part_frames.popleft()
            if not self._slots:
                return None
            camera = next(iter(self._slots))
            slot = self._slots.pop(camera)
            if len(slot.frames) > 1:
                self._slots[camera] = slot  # behind the others
            return self._next_of(slot)

    def take_of(self, camera: str) -> Frame | None:
        """The next frame of this camera without a part. Never waits."""
        with self._changed:
            slot = self._slots.get(camera)
            if slot is None:
                return None
            if len(slot.frames) == 1:
                del self._slots[camera]
            return self._next_of(slot)

    def take_more(self, camera: str) -> Frame | None:
        """One more frame of the camera that was just taken from. Never waits. None also when other
        cameras' frames wait."""
        with self._changed:
            if self._part_frames or len(self._slots) > 1:
                return None
            return self.take_of(camera)

    def close(self) -> None:
        """No frame comes any more. `take` returns the remaining frames, and then None at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """Closed, and everything was taken."""
        with self._changed:
            return self._closed and not self._slots and not self._part_frames

    @property
    def has_work(self) -> bool:
        """Whether frames wait. Without the lock: the answer is of a moment in any case."""
        return bool(self._slots or self._part_frames)

    def has_frame(self, camera: str) -> bool:
        """Whether a frame of this camera was not taken yet."""
        with self._changed:
            waiting = any(one.part.camera == camera for one in self._part_frames)
            return waiting or camera in self._slots

    def drop_camera(self, camera: str) -> None:
        """Drops the frames of a camera that is gone. They count as replaced."""
        with self._changed:
            if (slot := self._slots.pop(camera, None)) is not None:
                for _ in slot.frames:
                    self._count_replaced(camera)
            self._part_frames = deque(one for one in self._part_frames if one.part.camera != camera)
            self._changed.notify_all()

    def replaced(self, camera: str) -> int:
        """How many frames of this camera were replaced before they were taken."""
        with self._changed:
            return self._replaced.get(camera, 0)

    def _has_room(self, camera: str, inlet: "Inlet | None") -> bool:
        slot = self._slots.get(camera)
        held = inlet is not None and inlet.held
        return not held and (slot is None or not slot.is_full(self._capacity))

    def _next_of(self, slot: _Slot) -> Frame:
        frame = slot.pop()
        if slot.is_low(self._capacity):
            self._changed.notify_all()
        return frame

    def _count_replaced(self, camera: str) -> None:
        self._replaced[camera] = self._replaced.get(camera, 0) + 1


class Inlet:
    """The way of one reader into the mailbox; a `FrameSink`. Safe between threads.

    held: files wait; live frames pass.
    closed: no frame enters any more, also none of a driver that returns late.
    """

    def __init__(self, mailbox: Mailbox, changed: threading.Condition) -> None:
        """`changed`: the condition of the mailbox."""
        self.held = self.closed = False
        self._mailbox, self._changed = mailbox, changed

    def offer(self, frame: Frame) -> None:
        """As `Mailbox.offer`."""
        self._mailbox.offer(frame, self)

    def put(self, frame: Frame, stop: StopEvent) -> bool:
        """As `Mailbox.put`."""
        return self._mailbox.put(frame, stop, self)

    def note_rejected(self, camera: str, why: str) -> None:
        """As `Mailbox.note_rejected`."""
        if not self.closed:
            self._mailbox.note_rejected(camera, why)

    def hold(self, *, held: bool) -> None:
        """Holds files back, or lets them pass again."""
        with self._changed:
            self.held = held
            self._changed.notify_all()

    def close(self, *, closed: bool = True) -> None:
        """Closes or opens it; nothing is in between when this returns."""
        with self._changed:
            self.closed = closed
            self._changed.notify_all()

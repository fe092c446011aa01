"""The events that wait for the publisher's thread."""

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.mqtt.events import Event

BEAT_S = 5.0  # an idle thread shows progress at this interval


@dataclass(frozen=True, slots=True)
class Wake:
    """New rows, a new retained body, a new reply, or a request to close."""


class EventQueue:
    """Any thread may `put`; only the publisher's thread reads. `beat`: when that thread last
    looked, in monotonic seconds."""

    def __init__(self, tick: Callable[[], float]) -> None:
        self.beat = tick()
        self._tick = tick
        self._events: queue.SimpleQueue[Event | Wake] = queue.SimpleQueue()
        self._wake_queued = False  # one Wake in the queue is enough

    def put(self, event: Event | Wake) -> None:
        """Queues an event."""
        if isinstance(event, Wake):
            if self._wake_queued:
                return
            self._wake_queued = True
        self._events.put(event)

    def wake(self) -> None:
        """Queues a Wake."""
        self.put(Wake())

    def empty(self) -> bool:
        """Whether no event waits."""
        return self._events.empty()

    def next(self, timeout_s: float) -> Event | Wake | None:
        """The next event; None after `timeout_s`."""
        self.beat = self._tick()
        return self._take(timeout_s)

    def drain(self, timeout_s: float) -> Iterator[Event | Wake]:
        """Waits at most `timeout_s` for an event; yields it and all that wait behind it."""
        event = self.next(timeout_s)
        while event is not None:
            yield event
            event = self._take(0)

    def clear(self) -> None:
        """Discards the events of an earlier connection."""
        while not self._events.empty():
            self._events.get()
        self._wake_queued = False  # after the loop: one Wake too many does no harm

    def sleep(self, seconds: float, stopped: Callable[[], bool]) -> None:
        """Sleeps for `seconds`, or until `stopped` is true after an event. Discards events."""
        deadline = self._tick() + seconds
        while not stopped() and (left := deadline - self._tick()) > 0:
            self.next(min(left, BEAT_S))

    def _take(self, timeout_s: float) -> Event | Wake | None:
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(event, Wake):
            self._wake_queued = False
        return event

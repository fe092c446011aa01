"""Where events wait for the publisher's thread, and where that thread waits for them."""

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.mqtt.events import Event

BEAT_S = 5.0  # who waits shows progress so often


@dataclass(frozen=True, slots=True)
class Wake:
    """There is something to do: new rows, a new announcement, or closing."""


class EventQueue:
    """`put` is for any thread. `beat`: when the publisher's thread last looked, in monotonic
    seconds."""

    def __init__(self, tick: Callable[[], float]) -> None:
        self.beat = tick()
        self._tick = tick
        self._events: queue.SimpleQueue[Event | Wake] = queue.SimpleQueue()
        self._awake = False  # a Wake waits already: a thousand say no more than one

    def put(self, event: Event | Wake) -> None:
        """Hands an event over."""
        if isinstance(event, Wake):
            if self._awake:
                return
            self._awake = True
        self._events.put(event)

    def wake(self) -> None:
        """There is something to do."""
        self.put(Wake())

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._events.empty()

    def next(self, seconds: float) -> Event | Wake | None:
        """The next event; None when there is none for so long."""
        self.beat = self._tick()
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(event, Wake):
            self._awake = False
        return event

    def all(self, seconds: float) -> Iterator[Event | Wake]:
        """The next event, if there is one within so long, and those that wait behind it."""
        event = self.next(seconds)
        while event is not None:
            yield event
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            if isinstance(event, Wake):
                self._awake = False

    def clear(self) -> None:
        """What an earlier connection left behind must not be read as this one's."""
        while not self._events.empty():
            self._events.get()
        self._awake = False  # after, never before: one too many does no harm

    def pass_time(self, seconds: float, closing: Callable[[], bool]) -> None:
        """Waits so long, or until it is time to close; what comes meanwhile is thrown away."""
        deadline = self._tick() + seconds
        while not closing() and (left := deadline - self._tick()) > 0:
            self.next(min(left, BEAT_S))

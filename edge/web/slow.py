"""Clients that take for ever to say what they want."""

from collections.abc import Callable, Mapping
from typing import Any


class SlowClients:
    """Ends connections whose request is not complete after `most_s` seconds: a byte now and then is
    life enough for waitress, and a few such clients would take every place."""

    def __init__(
        self, channels: Mapping[int, Any], most_s: float, tick: Callable[[], float]
    ) -> None:
        """`channels`: waitress's, and its listening sockets, by file descriptor. `tick`: monotonic
        seconds."""
        self._channels, self._most_s, self._tick = channels, most_s, tick
        self._since: dict[int, tuple[Any, float]] = {}
        self.ended = 0

    def sweep(self) -> None:
        """To be called now and then by the thread that serves."""
        now = self._tick()
        since: dict[int, tuple[Any, float]] = {}
        for number, channel in list(self._channels.items()):
            request = getattr(channel, "request", None)  # what is complete stands elsewhere
            if request is None:
                continue
            before, began = self._since.get(number, (None, now))
            if before is not request:
                began = now
            since[number] = request, began
            if now - began > self._most_s:
                channel.will_close = True
                self.ended += 1
        self._since = since

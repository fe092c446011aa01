"""A fake connection for snapshots, and a picture to send."""

from collections.abc import Callable

import numpy as np

from edge.core.frame import Frame
from edge.core.messages import MessageProperties
from edge.mqtt.diagnostics import LinkError
from edge.mqtt.events import Connected, Event, Lost, PubAck, Refused

NOISE = np.random.default_rng(7).integers(0, 256, (240, 320, 3), np.uint8)


PICTURE = Frame("top", 1, NOISE, 0.0, 0.0)


class Wire:
    """Creates fake links. `manner` is the behaviour of the broker."""

    def __init__(self, manner: str = "takes") -> None:
        self.manner = manner
        self.opened = self.closed = 0
        self.arrived: list[tuple[str, bytes, bool]] = []

    def link(self, on_event: Callable[[Event], None]) -> "_FakeLink":
        return _FakeLink(self, on_event)


class _FakeLink:
    def __init__(self, wire: Wire, on_event: Callable[[Event], None]) -> None:
        self._wire, self._on_event = wire, on_event

    def open(self) -> None:
        self._wire.opened += 1
        if self._wire.manner == "absent":
            raise LinkError("no broker answers")
        refused = self._wire.manner == "refuses"
        self._on_event(Refused("not you", False) if refused else Connected(20))

    def publish(
        self, topic: str, body: bytes, *, retain: bool, about: MessageProperties | None = None
    ) -> int:
        self._wire.arrived.append((topic, body, retain))
        number = len(self._wire.arrived)
        if self._wire.manner == "hangs up":
            self._on_event(Lost("gone"))
        else:
            code = 0x87 if self._wire.manner == "forbids" else 0
            self._on_event(PubAck(number, code, "Not authorized" if code else "Success"))
        return number

    def alive(self) -> bool:
        return True

    def subscribe(self, pattern: str) -> None:
        raise AssertionError(f"unexpected subscription to {pattern}")

    def close(self) -> None:
        self._wire.closed += 1

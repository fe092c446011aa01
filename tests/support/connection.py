"""One connection through the proxy: its two sides, and what is done to the packets between them."""

import contextlib
import json
import socket
import struct
from collections import OrderedDict
from dataclasses import dataclass, field

from tests.support import packets

_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Manners:
    """How the proxy behaves just now. `to_broker`: what the box says; `to_box`: what it hears."""

    stall_to_broker: bool = False
    stall_to_box: bool = False
    bytes_per_s: float | None = None
    refuse: tuple[int, int] | None = None  # CONNACK reasons for versions 3.1.1 and 5
    closed: bool = False  # hangs up on whoever comes
    deaf: bool = False  # accepts connections and says nothing at all
    answers: list[int] = field(default_factory=list)  # PUBACK reasons for the next verdicts


@dataclass(slots=True)
class Side:
    """One socket, and what it still has to be given."""

    sock: socket.socket
    framer: packets.Framer = field(default_factory=packets.Framer)
    owed: bytearray = field(default_factory=bytearray)
    ended: bool = False  # says no more
    shut: bool = False  # hears no more

    def close_ear(self) -> None:
        """FIN: this side is told nothing more."""
        self.shut = True
        self.owed.clear()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()


@dataclass(slots=True)
class Witness:
    """Which verdicts left the box, in order, and which were refused in the broker's place."""

    sent: list[str] = field(default_factory=list)  # ids
    refused: dict[str, int] = field(default_factory=dict)  # id -> the PUBACK's reason


@dataclass(slots=True)
class Pair:
    """A box and its broker. `told` are the manners in force when a packet comes."""

    box: Side
    broker: Side
    witness: Witness
    level: int = 4
    # PUBACKs go out in the order of the PUBLISHes, as the standard wants it, forged ones too.
    acks: "OrderedDict[int, bytes | None]" = field(default_factory=OrderedDict)
    paid: float = 0.0  # until when throttling has been waited for
    doomed: bool = False  # hang up when everything owed is given
    alone: bool = False  # no broker behind it

    def from_box(self, packet: bytes, told: Manners) -> None:
        """Owes a packet of the box to the broker, or an answer to the box. Raises
        MalformedError."""
        kind = packets.kind(packet)
        if kind == packets.CONNECT:
            self.level = packets.level_of(packet)
            if told.refuse is not None:
                self.box.owed += packets.connack(self.level, told.refuse[self.level >= 5])
                self.doomed = True
                return
        if kind == packets.PUBLISH and self._is_swallowed(packet, told):
            return
        self.broker.owed += packet

    def _is_swallowed(self, packet: bytes, told: Manners) -> bool:
        message = packets.open_publish(packet, self.level)
        forged = None
        if message.topic.endswith("/result"):
            name = str(json.loads(message.payload)["id"])
            self.witness.sent.append(name)
            if told.answers and self.level >= 5:
                reason = told.answers.pop(0)
                self.witness.refused[name] = reason
                forged = packets.puback(message.mid, self.level, reason)
        if message.qos:
            self.acks[message.mid] = forged
            self._give_acks()
        return forged is not None

    def from_broker(self, packet: bytes) -> None:
        """Owes a packet of the broker to the box."""
        if packets.kind(packet) == packets.PUBACK:
            mid = packets.mid_of_puback(packet)
            if mid in self.acks:
                self.acks[mid] = packet
                self._give_acks()
                return
        self.box.owed += packet

    def _give_acks(self) -> None:
        while self.acks and (first := next(iter(self.acks.items())))[1] is not None:
            self.box.owed += first[1]
            del self.acks[first[0]]

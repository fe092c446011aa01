"""One connection through the proxy: its two sides and the packets between them."""

import contextlib
import json
import socket
import struct
from collections import OrderedDict
from dataclasses import dataclass, field

from tests.support import packets

_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class ProxyBehaviour:
    """The current behaviour of the proxy. `to_broker` and `to_box` are the two directions."""

    stall_to_broker: bool = False
    stall_to_box: bool = False
    bytes_per_s: float | None = None
    refuse: tuple[int, int] | None = None  # CONNACK reasons for versions 3.1.1 and 5
    closed: bool = False  # resets new connections
    silent: bool = False  # accepts connections and never answers
    answers: list[int] = field(default_factory=list)  # PUBACK reasons for the next verdicts


@dataclass(slots=True)
class Side:
    """One socket and the bytes to send to it."""

    sock: socket.socket
    framer: packets.Framer = field(default_factory=packets.Framer)
    outgoing: bytearray = field(default_factory=bytearray)
    ended: bool = False  # sent its FIN
    shut: bool = False  # was sent a FIN

    def close_output(self) -> None:
        """Sends FIN to this side."""
        self.shut = True
        self.outgoing.clear()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Sends RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()


@dataclass(slots=True)
class PacketRecorder:
    """Records the verdicts that left the box, in order, and those that the proxy refused."""

    sent: list[str] = field(default_factory=list)  # ids
    refused: dict[str, int] = field(default_factory=dict)  # id -> reason of the PUBACK


@dataclass(slots=True)
class Pair:
    """A connection between box and broker. Methods get the current behaviour of the proxy."""

    box: Side
    broker: Side
    recorder: PacketRecorder
    level: int = 4
    # PUBACKs, also forged ones, follow the order of the PUBLISHes, as the standard requires.
    acks: "OrderedDict[int, bytes | None]" = field(default_factory=OrderedDict)
    throttled_until: float = 0.0  # the time up to which throttling has been applied
    close_when_sent: bool = False  # close when all bytes are sent
    without_broker: bool = False  # the box has no broker behind the proxy

    def from_box(self, packet: bytes, behaviour: ProxyBehaviour) -> None:
        """Queues a packet of the box for the broker, or an answer for the box.

        Raises MalformedError.
        """
        kind = packets.kind(packet)
        if kind == packets.CONNECT:
            self.level = packets.level_of(packet)
            if behaviour.refuse is not None:
                self.box.outgoing += packets.connack(self.level, behaviour.refuse[self.level >= 5])
                self.close_when_sent = True
                return
        if kind == packets.PUBLISH and self._answered_here(packet, behaviour):
            return
        self.broker.outgoing += packet

    def _answered_here(self, packet: bytes, behaviour: ProxyBehaviour) -> bool:
        message = packets.open_publish(packet, self.level)
        forged = None
        if message.topic.endswith("/result"):
            name = str(json.loads(message.payload)["id"])
            self.recorder.sent.append(name)
            if behaviour.answers and self.level >= 5:
                reason = behaviour.answers.pop(0)
                self.recorder.refused[name] = reason
                forged = packets.puback(message.mid, self.level, reason)
        if message.qos:
            self.acks[message.mid] = forged
            self._send_acks()
        return forged is not None

    def from_broker(self, packet: bytes) -> None:
        """Queues a packet of the broker for the box."""
        if packets.kind(packet) == packets.PUBACK:
            mid = packets.mid_of_puback(packet)
            if mid in self.acks:
                self.acks[mid] = packet
                self._send_acks()
                return
        self.box.outgoing += packet

    def _send_acks(self) -> None:
        while self.acks and (first := next(iter(self.acks.items())))[1] is not None:
            self.box.outgoing += first[1]
            del self.acks[first[0]]

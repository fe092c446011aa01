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
class ProxyFaults:
    """The present faults of the proxy. `to_broker`, `to_box`: the direction of the packets."""

    stall_to_broker: bool = False
    stall_to_box: bool = False
    bytes_per_s: float | None = None
    refuse: tuple[int, int] | None = None  # CONNACK reasons for versions 3.1.1 and 5
    closed: bool = False  # resets each new connection
    silent: bool = False  # accepts connections and sends nothing
    answers: list[int] = field(default_factory=list)  # PUBACK reasons for the next verdicts


@dataclass(slots=True)
class Side:
    """One socket, with the bytes that wait to be sent to it."""

    sock: socket.socket
    framer: packets.Framer = field(default_factory=packets.Framer)
    pending: bytearray = field(default_factory=bytearray)
    ended: bool = False  # it has closed its writing side
    shut: bool = False  # our writing side is closed

    def close_write(self) -> None:
        """FIN: nothing more is sent to this side."""
        self.shut = True
        self.pending.clear()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()


@dataclass(slots=True)
class PacketRecorder:
    """The verdicts that left the box, in order, and those that the proxy refused."""

    sent: list[str] = field(default_factory=list)  # ids
    refused: dict[str, int] = field(default_factory=dict)  # id -> the PUBACK's reason


@dataclass(slots=True)
class Pair:
    """A box and its broker."""

    box: Side
    broker: Side
    recorder: PacketRecorder
    level: int = 4
    # PUBACKs, also forged ones, are sent in the order of the PUBLISHes, as the standard says.
    acks: "OrderedDict[int, bytes | None]" = field(default_factory=OrderedDict)
    sent_at: float = 0.0  # last write while throttled, monotonic seconds
    closing: bool = False  # close when all pending bytes are sent
    without_broker: bool = False

    def from_box(self, packet: bytes, faults: ProxyFaults) -> None:
        """Queues a packet of the box for the broker, or an answer for the box. Raises
        MalformedError."""
        kind = packets.kind(packet)
        if kind == packets.CONNECT:
            self.level = packets.level_of(packet)
            if faults.refuse is not None:
                self.box.pending += packets.connack(self.level, faults.refuse[self.level >= 5])
                self.closing = True
                return
        if kind == packets.PUBLISH and self._is_swallowed(packet, faults):
            return
        self.broker.pending += packet

    def _is_swallowed(self, packet: bytes, faults: ProxyFaults) -> bool:
        message = packets.open_publish(packet, self.level)
        forged = None
        if message.topic.endswith("/result"):
            name = str(json.loads(message.payload)["id"])
            self.recorder.sent.append(name)
            if faults.answers and self.level >= 5:
                reason = faults.answers.pop(0)
                self.recorder.refused[name] = reason
                forged = packets.puback(message.mid, self.level, reason)
        if message.qos:
            self.acks[message.mid] = forged
            self._queue_acks()
        return forged is not None

    def from_broker(self, packet: bytes) -> None:
        """Queues a packet of the broker for the box."""
        if packets.kind(packet) == packets.PUBACK:
            mid = packets.mid_of_puback(packet)
            if mid in self.acks:
                self.acks[mid] = packet
                self._queue_acks()
                return
        self.box.pending += packet

    def _queue_acks(self) -> None:
        while self.acks and (first := next(iter(self.acks.items())))[1] is not None:
            self.box.pending += first[1]
            del self.acks[first[0]]

"""A TCP proxy between box and broker that misbehaves when told: passes, cuts, half-closes,
stalls, throttles, refuses the CONNECT, answers a PUBLISH in the broker's place. It also bears
witness: which verdicts left the box, and which of them the broker never saw because the proxy
swallowed them."""

import contextlib
import json
import queue
import selectors
import socket
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.loss import packets

_CHUNK = 65536
_BACKLOG = 1 << 20  # bytes that one side may owe the other before its source is read no more
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
class _Side:
    """One socket, and what it still has to be given."""

    sock: socket.socket
    framer: packets.Framer = field(default_factory=packets.Framer)
    owed: bytearray = field(default_factory=bytearray)
    ended: bool = False  # says no more
    shut: bool = False  # hears no more


@dataclass(slots=True)
class _Pair:
    box: _Side
    broker: _Side
    level: int = 4
    # PUBACKs go out in the order of the PUBLISHes, as the standard wants it, forged ones too.
    acks: "OrderedDict[int, bytes | None]" = field(default_factory=OrderedDict)
    swallowed: set[int] = field(default_factory=set)
    paid: float = 0.0  # until when throttling has been waited for
    doomed: bool = False  # hang up when everything owed is given
    alone: bool = False  # no broker behind it


class Proxy:
    """One thread; the methods may be called from any other."""

    def __init__(self, upstream: int) -> None:
        """`upstream`: the broker's loopback port."""
        self.sent: list[str] = []  # ids of verdicts in the order in which they left the box
        self.refused: dict[str, int] = {}  # id -> the reason that was given in the broker's place
        self.connects = 0
        self.on_sent: Callable[[int], None] = lambda _count: None
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._pairs: list[_Pair] = []
        self._manners = Manners()
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    # What a schedule may order -----------------------------------------------------------------

    def pass_on(self) -> None:
        """Behaves from now on; what was held back goes out."""
        self._do(self._forget_manners)

    def behave(self, **manners: object) -> None:
        """Changes some of its `Manners`."""
        self._do(lambda: self._learn(manners))

    def cut(self) -> None:
        """RST to both sides of every connection."""
        self._do(self._cut_all)

    def half_close(self, *, to_box: bool) -> None:
        """FIN to one side only; the other direction goes on."""

        def shut() -> None:
            for pair in self._pairs:
                self._shut(pair.box if to_box else pair.broker)

        self._do(shut)

    def close(self) -> None:
        """Ends everything."""
        self._orders.put(None)
        self._wake_out.send(b"x")
        self._thread.join(20)

    def _forget_manners(self) -> None:
        self._manners = Manners()

    def _learn(self, manners: dict[str, object]) -> None:
        for name, value in manners.items():
            setattr(self._manners, name, value)

    def _cut_all(self) -> None:
        for pair in list(self._pairs):
            self._end(pair, reset=True)

    def _do(self, order: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            order()
            done.set()

        self._orders.put(run)
        self._wake_out.send(b"x")
        done.wait(20)

    # The thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                self._wake_in.recv(4096)
            while not self._orders.empty():
                order = self._orders.get()
                if order is None:
                    self._close_all()
                    return
                order()
            for pair in list(self._pairs):
                self._give(pair)
            self._turn()

    def _turn(self) -> None:
        manners = self._manners
        with selectors.DefaultSelector() as chosen:
            chosen.register(self._wake_in, selectors.EVENT_READ)
            chosen.register(self._server, selectors.EVENT_READ, self._accept)
            for pair in self._pairs:
                for side, other, stalled in (
                    (pair.box, pair.broker, manners.stall_to_broker),
                    (pair.broker, pair.box, manners.stall_to_box),
                ):
                    wanted = 0
                    if not stalled and not side.ended and len(other.owed) < _BACKLOG:
                        wanted |= selectors.EVENT_READ
                    if side.owed and not side.shut and manners.bytes_per_s is None:
                        wanted |= selectors.EVENT_WRITE
                    if wanted:
                        chosen.register(side.sock, wanted, (pair, side))
            throttled = manners.bytes_per_s is not None
            for key, events in chosen.select(0.02 if throttled else None):
                if key.data == self._accept:
                    self._accept()
                elif key.data is not None and events & selectors.EVENT_READ:
                    pair, side = key.data
                    if pair in self._pairs:
                        self._take(pair, side)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            box, _ = self._server.accept()
            self.connects += 1
            if self._manners.closed:
                _reset(box)
                return
            broker = socket.socket()
            alone = self._manners.refuse is not None or self._manners.deaf
            if not alone:
                try:
                    broker.connect(("127.0.0.1", self._upstream))
                except OSError:
                    _reset(box)
                    broker.close()
                    return
            for sock in (box, broker):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append(_Pair(_Side(box), _Side(broker, ended=alone), alone=alone))

    def _take(self, pair: _Pair, side: _Side) -> None:
        """Reads from one side and owes it to the other."""
        try:
            data = side.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._end(pair, reset=True)
            return
        other = pair.broker if side is pair.box else pair.box
        if not data:
            side.ended = True
            if not other.owed and not pair.alone:
                self._shut(other)
            if pair.box.ended and pair.broker.ended:
                self._end(pair, reset=False)
            return
        if self._manners.deaf or (pair.alone and self._manners.refuse is None):
            return
        try:
            for packet in side.framer.feed(data):
                if side is pair.box:
                    self._from_box(pair, packet)
                else:
                    self._from_broker(pair, packet)
        except packets.MalformedError:
            self._end(pair, reset=True)

    def _from_box(self, pair: _Pair, packet: bytes) -> None:
        kind = packets.kind(packet)
        if kind == packets.CONNECT:
            pair.level = packets.level_of(packet)
            if (refuse := self._manners.refuse) is not None:
                pair.box.owed += packets.connack(pair.level, refuse[pair.level >= 5])
                pair.doomed = True
                return
        if kind == packets.PUBLISH:
            message = packets.open_publish(packet, pair.level)
            forged = None
            if message.topic.endswith("/result"):
                name = str(json.loads(message.payload)["id"])
                self.sent.append(name)
                if self._manners.answers and pair.level >= 5:
                    reason = self._manners.answers.pop(0)
                    self.refused[name] = reason
                    forged = packets.puback(message.mid, pair.level, reason)
            if message.qos:
                pair.acks[message.mid] = forged
            if forged is not None:
                self._give_acks(pair)
                self.on_sent(len(self.sent))
                return
            pair.broker.owed += packet
            self.on_sent(len(self.sent))
            return
        pair.broker.owed += packet

    def _from_broker(self, pair: _Pair, packet: bytes) -> None:
        if packets.kind(packet) != packets.PUBACK:
            pair.box.owed += packet
            return
        mid = packets.mid_of_puback(packet)
        if mid in pair.acks:
            pair.acks[mid] = packet
            self._give_acks(pair)
        else:
            pair.box.owed += packet

    @staticmethod
    def _give_acks(pair: _Pair) -> None:
        while pair.acks and (first := next(iter(pair.acks.items())))[1] is not None:
            pair.box.owed += first[1]
            del pair.acks[first[0]]

    def _give(self, pair: _Pair) -> None:
        manners = self._manners
        for side, stalled in (
            (pair.box, manners.stall_to_box),
            (pair.broker, manners.stall_to_broker),
        ):
            if not side.owed or side.shut or stalled:
                continue
            allowance = len(side.owed)
            if manners.bytes_per_s is not None:
                since, pair.paid = pair.paid, time.monotonic()
                allowance = int(min(0.1, max(0.0, pair.paid - since)) * manners.bytes_per_s) + 1
            try:
                given = side.sock.send(side.owed[:allowance])
                del side.owed[:given]
            except BlockingIOError:
                continue
            except OSError:
                self._end(pair, reset=True)
                return
        if pair.doomed and not pair.box.owed:
            self._end(pair, reset=False)
            return
        for side, other in ((pair.box, pair.broker), (pair.broker, pair.box)):
            if pair.alone:
                break
            if other.ended and not side.owed and not side.shut:
                self._shut(side)

    @staticmethod
    def _shut(side: _Side) -> None:
        side.shut = True
        side.owed.clear()
        with contextlib.suppress(OSError):
            side.sock.shutdown(socket.SHUT_WR)

    def _end(self, pair: _Pair, *, reset: bool) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
        for side in (pair.box, pair.broker):
            _reset(side.sock) if reset else side.sock.close()

    def _close_all(self) -> None:
        self._cut_all()
        for sock in (self._server, self._wake_in, self._wake_out):
            sock.close()


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()

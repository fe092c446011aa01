"""A TCP proxy between box and broker that misbehaves when told: passes, cuts, half-closes,
stalls, throttles, refuses the CONNECT, answers a PUBLISH in the broker's place. It also bears
witness: which verdicts left the box, and which of them the broker never saw because the proxy
swallowed them."""

import contextlib
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable

from tests.support import packets
from tests.support.connection import Manners, Pair, Side, Witness

_CHUNK = 65536
_BACKLOG = 1 << 20  # bytes that one side may owe the other before its source is read no more


class Proxy:
    """One thread; the methods may be called from any other."""

    def __init__(self, upstream: int) -> None:
        """`upstream`: the broker's loopback port."""
        self.witness = Witness()
        self.connects = 0
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._pairs: list[Pair] = []
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
                (pair.box if to_box else pair.broker).close_ear()

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
                Side(box).reset()
                return
            broker = socket.socket()
            alone = self._manners.refuse is not None or self._manners.deaf
            if not alone:
                try:
                    broker.connect(("127.0.0.1", self._upstream))
                except OSError:
                    Side(box).reset()
                    broker.close()
                    return
            for sock in (box, broker):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append(
                Pair(Side(box), Side(broker, ended=alone), self.witness, alone=alone)
            )

    def _take(self, pair: Pair, side: Side) -> None:
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
                other.close_ear()
            if pair.box.ended and pair.broker.ended:
                self._end(pair, reset=False)
            return
        if self._manners.deaf or (pair.alone and self._manners.refuse is None):
            return
        try:
            for packet in side.framer.feed(data):
                if side is pair.box:
                    pair.from_box(packet, self._manners)
                else:
                    pair.from_broker(packet)
        except packets.MalformedError:
            self._end(pair, reset=True)

    def _give(self, pair: Pair) -> None:
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
                side.close_ear()

    def _end(self, pair: Pair, *, reset: bool) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
        for side in (pair.box, pair.broker):
            if reset:
                side.reset()
            else:
                side.sock.close()

    def _close_all(self) -> None:
        self._cut_all()
        for sock in (self._server, self._wake_in, self._wake_out):
            sock.close()

"""A TCP proxy between box and broker with faults on command: it cuts, half-closes, stalls,
throttles, refuses CONNECT, or answers a PUBLISH instead of the broker. It records which verdicts
left the box, and which of them it did not pass to the broker."""

import contextlib
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable

from tests.support import packets
from tests.support.connection import PacketRecorder, Pair, ProxyFaults, Side

_CHUNK = 65536
_MAX_PENDING = 1 << 20  # bytes that may wait for one side before the other is not read


class Proxy:
    """Has one thread; any other thread may call its methods."""

    def __init__(self, upstream: int) -> None:
        """`upstream`: the broker's loopback port."""
        self.recorder = PacketRecorder()
        self.connects = 0
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._pairs: list[Pair] = []
        self._faults = ProxyFaults()
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    # Commands -----------------------------------------------------------------

    def pass_on(self) -> None:
        """Ends all faults; held packets are sent."""
        self._do(self._clear_faults)

    def behave(self, **faults: object) -> None:
        """Changes some attributes of its `ProxyFaults`."""
        self._do(lambda: self._set_faults(faults))

    def cut(self) -> None:
        """RST to both sides of every connection."""
        self._do(self._cut_all)

    def half_close(self, *, to_box: bool) -> None:
        """FIN to one side only; the other direction goes on."""

        def close_one_side() -> None:
            for pair in self._pairs:
                (pair.box if to_box else pair.broker).close_write()

        self._do(close_one_side)

    def close(self) -> None:
        """Ends everything."""
        self._commands.put(None)
        self._wake_out.send(b"x")
        self._thread.join(20)

    def _clear_faults(self) -> None:
        self._faults = ProxyFaults()

    def _set_faults(self, faults: dict[str, object]) -> None:
        for name, value in faults.items():
            setattr(self._faults, name, value)

    def _cut_all(self) -> None:
        for pair in list(self._pairs):
            self._end(pair, reset=True)

    def _do(self, command: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            command()
            done.set()

        self._commands.put(run)
        self._wake_out.send(b"x")
        done.wait(20)

    # The thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                self._wake_in.recv(4096)
            while not self._commands.empty():
                command = self._commands.get()
                if command is None:
                    self._close_all()
                    return
                command()
            for pair in list(self._pairs):
                self._write(pair)
            self._turn()

    def _turn(self) -> None:
        faults = self._faults
        with selectors.DefaultSelector() as chosen:
            chosen.register(self._wake_in, selectors.EVENT_READ)
            chosen.register(self._server, selectors.EVENT_READ, self._accept)
            for pair in self._pairs:
                for side, other, stalled in (
                    (pair.box, pair.broker, faults.stall_to_broker),
                    (pair.broker, pair.box, faults.stall_to_box),
                ):
                    wanted = 0
                    if not stalled and not side.ended and len(other.pending) < _MAX_PENDING:
                        wanted |= selectors.EVENT_READ
                    if side.pending and not side.shut and faults.bytes_per_s is None:
                        wanted |= selectors.EVENT_WRITE
                    if wanted:
                        chosen.register(side.sock, wanted, (pair, side))
            throttled = faults.bytes_per_s is not None
            for key, events in chosen.select(0.02 if throttled else None):
                if key.data == self._accept:
                    self._accept()
                elif key.data is not None and events & selectors.EVENT_READ:
                    pair, side = key.data
                    if pair in self._pairs:
                        self._read(pair, side)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            box, _ = self._server.accept()
            self.connects += 1
            if self._faults.closed:
                Side(box).reset()
                return
            broker = socket.socket()
            without_broker = self._faults.refuse is not None or self._faults.silent
            if not without_broker:
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
                Pair(
                    Side(box),
                    Side(broker, ended=without_broker),
                    self.recorder,
                    without_broker=without_broker,
                )
            )

    def _read(self, pair: Pair, side: Side) -> None:
        """Reads from one side and queues the packets for the other."""
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
            if not other.pending and not pair.without_broker:
                other.close_write()
            if pair.box.ended and pair.broker.ended:
                self._end(pair, reset=False)
            return
        if self._faults.silent or (pair.without_broker and self._faults.refuse is None):
            return
        try:
            for packet in side.framer.feed(data):
                if side is pair.box:
                    pair.from_box(packet, self._faults)
                else:
                    pair.from_broker(packet)
        except packets.MalformedError:
            self._end(pair, reset=True)

    def _write(self, pair: Pair) -> None:
        faults = self._faults
        for side, stalled in (
            (pair.box, faults.stall_to_box),
            (pair.broker, faults.stall_to_broker),
        ):
            if not side.pending or side.shut or stalled:
                continue
            allowance = len(side.pending)
            if faults.bytes_per_s is not None:
                since, pair.sent_at = pair.sent_at, time.monotonic()
                allowance = int(min(0.1, max(0.0, pair.sent_at - since)) * faults.bytes_per_s) + 1
            try:
                sent = side.sock.send(side.pending[:allowance])
                del side.pending[:sent]
            except BlockingIOError:
                continue
            except OSError:
                self._end(pair, reset=True)
                return
        if pair.closing and not pair.box.pending:
            self._end(pair, reset=False)
            return
        for side, other in ((pair.box, pair.broker), (pair.broker, pair.box)):
            if pair.without_broker:
                break
            if other.ended and not side.pending and not side.shut:
                side.close_write()

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

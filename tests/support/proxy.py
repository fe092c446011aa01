"""A TCP proxy between box and broker for fault injection.

It forwards, cuts, half-closes, stalls, throttles, refuses the CONNECT, or answers a PUBLISH instead
of the broker. It records the verdicts that left the box, and those that it did not forward.
"""

import contextlib
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable

from tests.support import packets
from tests.support.connection import PacketRecorder, Pair, ProxyBehaviour, Side

_CHUNK = 65536
_BACKLOG = 1 << 20  # bytes queued for one side; above it, the other side is not read


class Proxy:
    """One thread. The methods may be called from other threads."""

    def __init__(self, upstream: int) -> None:
        """`upstream`: the broker's loopback port."""
        self.recorder = PacketRecorder()
        self.connects = 0
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._pairs: list[Pair] = []
        self._behaviour = ProxyBehaviour()
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    # Commands -----------------------------------------------------------------

    def reset_behaviour(self) -> None:
        """Forwards normally from now on, and sends all held bytes."""
        self._do(self._reset_behaviour)

    def behave(self, **behaviour: object) -> None:
        """Changes some of its `ProxyBehaviour`."""
        self._do(lambda: self._set_behaviour(behaviour))

    def cut(self) -> None:
        """RST to both sides of every connection."""
        self._do(self._cut_all)

    def half_close(self, *, to_box: bool) -> None:
        """Sends FIN to one side; the other direction stays open."""

        def shut() -> None:
            for pair in self._pairs:
                (pair.box if to_box else pair.broker).close_output()

        self._do(shut)

    def close(self) -> None:
        """Closes all connections and ends the thread."""
        self._commands.put(None)
        self._wake_out.send(b"x")
        self._thread.join(20)

    def _reset_behaviour(self) -> None:
        self._behaviour = ProxyBehaviour()

    def _set_behaviour(self, behaviour: dict[str, object]) -> None:
        for name, value in behaviour.items():
            setattr(self._behaviour, name, value)

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
                self._send_outgoing(pair)
            self._select_once()

    def _select_once(self) -> None:
        behaviour = self._behaviour
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ)
            selector.register(self._server, selectors.EVENT_READ, self._accept)
            for pair in self._pairs:
                for side, other, stalled in (
                    (pair.box, pair.broker, behaviour.stall_to_broker),
                    (pair.broker, pair.box, behaviour.stall_to_box),
                ):
                    wanted = 0
                    if not stalled and not side.ended and len(other.outgoing) < _BACKLOG:
                        wanted |= selectors.EVENT_READ
                    if side.outgoing and not side.shut and behaviour.bytes_per_s is None:
                        wanted |= selectors.EVENT_WRITE
                    if wanted:
                        selector.register(side.sock, wanted, (pair, side))
            throttled = behaviour.bytes_per_s is not None
            for key, events in selector.select(0.02 if throttled else None):
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
            if self._behaviour.closed:
                Side(box).reset()
                return
            broker = socket.socket()
            without_broker = self._behaviour.refuse is not None or self._behaviour.silent
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
        """Reads from one side and queues the bytes for the other."""
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
            if not other.outgoing and not pair.without_broker:
                other.close_output()
            if pair.box.ended and pair.broker.ended:
                self._end(pair, reset=False)
            return
        if self._behaviour.silent or (pair.without_broker and self._behaviour.refuse is None):
            return
        try:
            for packet in side.framer.feed(data):
                if side is pair.box:
                    pair.from_box(packet, self._behaviour)
                else:
                    pair.from_broker(packet)
        except packets.MalformedError:
            self._end(pair, reset=True)

    def _send_outgoing(self, pair: Pair) -> None:
        behaviour = self._behaviour
        for side, stalled in (
            (pair.box, behaviour.stall_to_box),
            (pair.broker, behaviour.stall_to_broker),
        ):
            if not side.outgoing or side.shut or stalled:
                continue
            allowance = len(side.outgoing)
            if behaviour.bytes_per_s is not None:
                since, pair.throttled_until = pair.throttled_until, time.monotonic()
                allowance = (
                    int(min(0.1, max(0.0, pair.throttled_until - since)) * behaviour.bytes_per_s)
                    + 1
                )
            try:
                sent = side.sock.send(side.outgoing[:allowance])
                del side.outgoing[:sent]
            except BlockingIOError:
                continue
            except OSError:
                self._end(pair, reset=True)
                return
        if pair.close_when_sent and not pair.box.outgoing:
            self._end(pair, reset=False)
            return
        for side, other in ((pair.box, pair.broker), (pair.broker, pair.box)):
            if pair.without_broker:
                break
            if other.ended and not side.outgoing and not side.shut:
                side.close_output()

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

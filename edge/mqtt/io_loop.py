"""The network thread of one connection.

It drives paho-mqtt through its documented interface for external event loops: `socket()`,
`loop_read`, `loop_write`, `loop_misc`, `want_write` and the socket callbacks. paho's own loop
detects a silent broker later, and does not end while a peer does not read.
"""

import contextlib
import logging
import math
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from edge.core.threads import NamedThread
from edge.mqtt.incoming_limit import PacketTooLongError, limit_reads

log = logging.getLogger(__name__)

OPEN_S = 8.0  # for DNS, TCP, TLS and WebSocket together
DEAD_AFTER = 1.4  # of keepalive: silence ends the connection within 1.5
_SHORTEST_WAIT_S = 0.01
_GOODBYE_S = 1.0  # for DISCONNECT to be written
_END_S = 1.5  # for the thread to end
_TLS_ALERT = b"\x15"
_GOOD = MQTTErrorCode.MQTT_ERR_SUCCESS


class _LastError(logging.Handler):
    """Keeps paho's last error: paho reports the reason of a socket failure only to its logger."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""
        self.too_long: PacketTooLongError | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()
        for value in record.args if isinstance(record.args, tuple) else ():
            if isinstance(value, PacketTooLongError):
                self.too_long = value


class IoLoop:
    """Serves one connection until it ends. Any thread may call `close` and paho's client.

    tls_alert: the peer answered with a TLS alert.
    malformed: the peer sent bytes that are not MQTT.
    """

    def __init__(
        self,
        client: paho.Client,
        connect: Callable[[], None],
        on_end: Callable[[str], None],
        tick: Callable[[], float] = time.monotonic,
        *,
        plain: bool = True,
    ) -> None:
        """Replaces the client's socket callbacks and its logger.

        connect: opens the client's socket, on the thread; it may block and raise.
        on_end(why): called at most once, on the thread, when an open connection ends without
            `close`.
        tick: monotonic seconds.
        plain: the connection has no TLS, so a TLS alert means the wrong port.
        """
        self._client, self._connect, self._on_end, self._tick = client, connect, on_end, tick
        self._errors = _LastError()
        logger = logging.Logger("paho", logging.ERROR)  # without a parent: nothing reaches the log
        logger.addHandler(self._errors)
        client.enable_logger(logger)
        client.on_socket_open = _prepare
        # with this callback paho writes only on this thread, never on its caller's
        client.on_socket_register_write = lambda *_: self._wake()
        self._reader, self._waker = socket.socketpair()
        self._reader.setblocking(False)
        self._waker.setblocking(False)
        self._closing = threading.Event()
        self._opened: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = NamedThread("mqtt", self.run, vital=False, again=False)
        self.tls_alert = self.malformed = False
        self._may_be_alert = plain
        # The times from which paho counts a keepalive. Each is taken after paho's own time stamp,
        # so that a ping that is due here is due for paho.
        self._received_at = self._wrote_at = self._pinged_at = tick()

    def open(self) -> None:
        """Starts the thread and waits for the socket, at most OPEN_S. Raises the exception of
        `connect`; TimeoutError when it takes too long."""
        self._thread.start()
        try:
            fault = self._opened.get(timeout=OPEN_S)
        except queue.Empty:
            self._closing.set()
            raise TimeoutError("timed out") from None
        if fault is not None:
            raise fault

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def too_long(self) -> PacketTooLongError | None:
        """The message that was too long to be read; None: it did not end the connection."""
        return self._errors.too_long

    def close(self) -> None:
        """Writes the queued bytes, DISCONNECT included, for at most a second, then ends the thread,
        also when the peer does not read."""
        self._closing.set()
        self._wake()
        if self._thread.ident is None:
            self._shut()
        elif threading.current_thread() is not self._thread:
            self._thread.join(_END_S)

    def run(self) -> None:
        """Connects and serves the connection until it ends. `open` starts it on the thread."""
        try:
            self._connect()
        except Exception as error:  # noqa: BLE001  `open` raises it on its caller's thread
            self._shut()
            self._opened.put(error)
            return
        self._received_at = self._wrote_at = self._tick()
        self._opened.put(None)
        why = ""
        try:
            why = self._serve()
        except Exception as error:  # the outermost loop of this thread
            log.exception("mqtt: unexpected fault in the network thread")
            why = f"internal fault ({error!r})"
        finally:
            self._shut()
        if not self._closing.is_set():
            self._on_end(self._errors.text.rpartition("socket: ")[2] or why)

    def _serve(self) -> str:
        """Moves bytes until the connection ends. Returns why."""
        deadline: float | None = None  # of closing
        while self._client.socket() is not None:
            if self._closing.is_set():
                deadline = deadline or self._tick() + _GOODBYE_S
                if self._tick() >= deadline:
                    return "closed"
            readable, writable = self._wait(self._sleep_s(deadline))
            if readable and self._is_alert():
                self.tls_alert = True
                return "the port speaks TLS"
            for code in self._move(readable=readable, writable=writable):
                if code != _GOOD:
                    self.malformed = code == MQTTErrorCode.MQTT_ERR_PROTOCOL
                    return paho.error_string(code)
            silent = self._tick() - self._received_at
            if self._client.keepalive and silent > DEAD_AFTER * self._client.keepalive:
                return f"the broker is silent for {silent:.1f} s"
        return "the connection was closed"

    def _move(self, *, readable: bool, writable: bool) -> list[MQTTErrorCode]:
        """Lets paho read, write and ping where that is due. Returns paho's codes."""
        codes = []
        if readable:
            codes.append(self._client.loop_read())
            self._received_at = self._tick()
        if writable and self._client.socket() is not None:
            codes.append(self._client.loop_write())
            self._wrote_at = self._tick()
        if self._client.socket() is not None:
            pings = self._ping_in_s() <= 0
            codes.append(self._client.loop_misc())
            if pings:
                self._pinged_at = self._tick()
        return codes

    def _ping_in_s(self) -> float:
        """Seconds until paho sends a ping: one keepalive after the last bytes of either side."""
        since = max(self._pinged_at, min(self._wrote_at, self._received_at))
        return since + self._client.keepalive - self._tick()

    def _sleep_s(self, deadline: float | None) -> float | None:
        """How many seconds the thread may sleep while no byte moves; None: without limit."""
        due = [] if deadline is None else [deadline - self._tick()]
        if keepalive := self._client.keepalive:
            due += [self._ping_in_s(), self._received_at + DEAD_AFTER * keepalive - self._tick()]
        return max(_SHORTEST_WAIT_S, min(due)) if due else None

    def _wait(self, seconds: float | None) -> tuple[bool, bool]:
        """Sleeps until bytes can move, at most `seconds`. Returns whether to read and to write."""
        sock: Any = self._client.socket()
        pending = getattr(sock, "pending", None)  # TLS: decrypted bytes that wait in memory
        waiting = pending is not None and pending() > 0
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        writing = select.POLLOUT if self._client.want_write() else 0
        poll.register(sock, select.POLLIN | writing)
        if waiting:
            seconds = 0
        events = dict(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))
        woken = self._reader.fileno() in events
        if woken:
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(4096)
        moved = events.get(sock.fileno(), 0)
        readable = moved & (select.POLLIN | select.POLLERR | select.POLLHUP | select.POLLNVAL)
        return bool(waiting or readable), bool(moved & select.POLLOUT or woken)

    def _is_alert(self) -> bool:
        """Whether a connection without TLS starts with the first byte of a TLS alert."""
        if not self._may_be_alert:
            return False
        self._may_be_alert = False
        sock: Any = self._client.socket()
        with _duplicate(sock) as plain, contextlib.suppress(OSError):
            return plain.recv(1, socket.MSG_PEEK) == _TLS_ALERT
        return False

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: the thread is awake; closed: it has ended
            self._waker.send(b"\0")

    def _shut(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()
        with contextlib.suppress(OSError):
            self._reader.close()
            self._waker.close()


def _duplicate(sock: Any) -> socket.socket:
    """The socket below TLS or WebSockets; the caller closes the copy."""
    return socket.socket(fileno=os.dup(sock.fileno()))


def _prepare(_client: paho.Client, _data: Any, sock: Any) -> None:
    limit_reads(sock)
    # Nagle's algorithm holds a small packet back until the previous one is acknowledged. The peer
    # delays that acknowledgement by up to 40 ms.
    with _duplicate(sock) as plain, contextlib.suppress(OSError):
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

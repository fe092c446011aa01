"""The thread that moves one connection's bytes. It drives paho-mqtt through its interface for
external event loops, so that whatever ends it is told, and that nobody else ever waits for a
socket."""

import contextlib
import logging
import math
import queue
import select
import socket
import threading
import time
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from edge.delivery.bypass import Bypass, Client
from edge.delivery.troubles import LinkError
from edge.threads import NamedThread

log = logging.getLogger(__name__)

OPEN_S = 8.0  # for name, TCP, TLS and WebSocket together
DEAD_AFTER = 1.4  # of keepalive: a silence is noticed within 1.5
_LEAST_S = 0.01
_GOODBYE_S = 1.0  # for DISCONNECT to be written
_END_S = 1.5  # and for the thread to end
_TLS_ALERT = 0x15
_MOMENT_S = 0.001  # answers to messages that went out together come within less


class _LastError(logging.Handler):
    """paho tells why a socket failed only to a logger."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class Network:
    """`on_end(why, tls_alert)` is called at most once, on the thread, when a connection that was
    open ends without `close`. `on_read` is called there after bytes were read, and `several` is
    asked before: whether more than one answer is awaited, so that it pays to wait a moment and
    wake everybody once. `heard` is when bytes came last, in monotonic seconds."""

    def __init__(
        self,
        client: Client,
        connect: Callable[[], None],
        on_end: Callable[[str, bool], None],
        tick: Callable[[], float] = time.monotonic,
        *,
        on_read: Callable[[], None] = lambda: None,
        several: Callable[[], bool] = lambda: False,
    ) -> None:
        """`connect` opens the socket and may block and raise; it runs on the thread."""
        self._client, self._connect, self._on_end, self._tick = client, connect, on_end, tick
        self._on_read, self._several = on_read, several
        self._errors = _LastError()
        logger = logging.Logger("paho", logging.ERROR)  # of its own: nothing reaches the log
        logger.addHandler(self._errors)
        client.enable_logger(logger)
        # paho would write on the caller's thread if it thought that nobody else does
        client.on_socket_register_write = lambda *_: None
        self._reader, self._waker = socket.socketpair()
        self._reader.setblocking(False)
        self._waker.setblocking(False)
        self._closing = threading.Event()
        self._opened: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = NamedThread("mqtt", self._run)
        self._spoken = self._woken = False
        self.heard = tick()
        # What paho counts a keepalive from, each taken after paho's own stamp: what is due for us
        # is due for paho. When all of its own was written, something of it read, a ping sent.
        self._wrote = self._fetched = self._pinged = self.heard

    def open(self) -> None:
        """Starts the thread and waits for the socket, at most OPEN_S. Raises what went wrong;
        TimeoutError when it takes too long."""
        self._thread.start()
        try:
            fault = self._opened.get(timeout=OPEN_S)
        except queue.Empty:
            self._closing.set()
            raise TimeoutError("timed out") from None
        if fault is not None:
            raise fault

    def flush(self) -> None:
        """Writes what waits to be written: at once where the socket takes it from any thread, which
        saves the way over this one."""
        bypass = self._client.bypass
        if bypass is not None:
            self._hand_over(bypass)
            if not bypass.write_now():
                self.wake()

    def wake(self) -> None:
        """There is something to write."""
        if self._woken:
            return  # it looks for what is to be written after it has read the byte that waits
        self._woken = True
        with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody is there
            self._waker.send(b"\0")

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Writes what is queued, DISCONNECT included, for at most a second; then ends the thread.
        A peer that does not read cannot keep us."""
        self._closing.set()
        self.wake()
        if self._thread.ident is None:
            self._shut()
        elif threading.current_thread() is not self._thread:
            self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._connect()
        except Exception as error:  # noqa: BLE001  handed to whoever waits in `open`
            self._shut()
            self._opened.put(error)
            return
        self.heard = self._wrote = self._fetched = self._tick()
        self._opened.put(None)
        why, alert = "", False
        try:
            why, alert = self._serve()
        except Exception as error:  # the outermost loop of this thread: told, never silent
            log.exception("mqtt: unexpected fault in the network thread")
            why = f"internal fault ({error!r})"
        finally:
            self._shut()
        if not self._closing.is_set():
            self._on_end(self._errors.text.rpartition("socket: ")[2] or why, alert)

    def _serve(self) -> tuple[str, bool]:
        """Moves bytes until the end: why it ended, and whether a TLS alert came in plain."""
        until: float | None = None
        while self._client.socket() is not None:
            if self._closing.is_set():
                until = until or self._tick() + _GOODBYE_S
                if self._tick() >= until:
                    return "closed", False
            if (end := self.run_once(self._quiet_s(until))) is not None:
                return end
        return "the connection was closed", False

    def run_once(self, seconds: float | None = None) -> tuple[str, bool] | None:
        """Waits for something to move, at most `seconds` (None: for ever), and moves it. Returns
        what `_serve` does when that was the end of an open connection, else None."""
        bypass = self._client.bypass
        assert bypass is not None  # there is a socket
        readable, writable = self._wait(bypass, seconds)
        if readable:
            if not self._spoken and self._peeks_alert(bypass.raw):
                return "the port speaks TLS", True
            self._spoken = True
            if self._several():
                time.sleep(_MOMENT_S)
            self.heard = self._tick()
            code = self._read(bypass)
            self._on_read()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return paho.error_string(code), False
        if writable and self._client.socket() is not None:
            code = self._write(bypass)
            if code not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN):
                return paho.error_string(code), False
        why = self._keep_alive()
        return (why, False) if why else None

    def _read(self, bypass: Bypass) -> MQTTErrorCode:
        bypass.read()
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        while bypass.has_theirs and code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            code = self._client.loop_read()
            self._fetched = self._tick()
        return code

    def _write(self, bypass: Bypass) -> MQTTErrorCode:
        try:
            bypass.write()
            code = self._hand_over(bypass)
            bypass.write()
        except OSError as error:
            self._errors.text = str(error)  # `_run` tells it, as it tells what paho says
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        return code

    def _hand_over(self, bypass: Bypass) -> MQTTErrorCode:
        """What paho has queued, in its place among the messages; but not before all else was
        written, since paho closes the connection behind its last packet."""
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        if self._client.want_write() and not bypass.wants_write:
            code = self._client.loop_write()
            if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._wrote = self._tick()
        return code

    def _keep_alive(self) -> str:
        """Sends a ping when one is due. Why the connection is dead; empty when it is not."""
        pings = self._ping_in_s() <= 0
        code = self._client.loop_misc()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return paho.error_string(code)
        if pings:
            self._pinged = self._tick()
        silent = self._tick() - self.heard
        if self._client.keepalive and silent > DEAD_AFTER * self._client.keepalive:
            return f"the broker is silent for {silent:.1f} s"
        return ""

    def _ping_in_s(self) -> float:
        """Seconds until a ping is due: a keepalive after we wrote last, or after the broker did."""
        since = max(self._pinged, min(self._wrote, self._fetched))
        return since + self._client.keepalive - self._tick()

    def _quiet_s(self, until: float | None) -> float | None:
        """For how many seconds there is nothing to do unless somebody speaks; None: for ever.
        `until`: when a goodbye ends, monotonic seconds."""
        due = [] if until is None else [until - self._tick()]
        if keepalive := self._client.keepalive:
            due += [self._ping_in_s(), self.heard + DEAD_AFTER * keepalive - self._tick()]
        return max(_LEAST_S, min(due)) if due else None

    def _wait(self, bypass: Bypass, seconds: float | None) -> tuple[bool, bool]:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        writing = select.POLLOUT if self._wants_write(bypass) else 0
        poll.register(bypass, select.POLLIN | writing)
        if waiting := bool(bypass.pending()):
            seconds = 0
        events = dict(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))
        woken = self._reader.fileno() in events
        if woken:
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(4096)
            self._woken = False  # after the byte was read, before it is asked what is to be written
        said = events.get(bypass.fileno(), 0)
        broken = said & (select.POLLERR | select.POLLHUP | select.POLLNVAL)
        return (
            waiting or bool(said & select.POLLIN or broken),
            bool(said & select.POLLOUT) or (woken and self._wants_write(bypass)),
        )

    def _wants_write(self, bypass: Bypass) -> bool:
        return bypass.wants_write or self._client.want_write()

    @staticmethod
    def _peeks_alert(sock: object) -> bool:
        if type(sock) is not socket.socket:
            return False
        with contextlib.suppress(OSError):
            return sock.recv(1, socket.MSG_PEEK) == bytes([_TLS_ALERT])
        return False

    def _shut(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()
        with contextlib.suppress(OSError):
            self._reader.close()
            self._waker.close()


def no_connection(code: int) -> LinkError:
    """For paho's code of a call that could not be served."""
    return LinkError(f"cannot send ({paho.error_string(MQTTErrorCode(code))})")

"""A subscriber for a million verdicts: it counts numbers instead of keeping bodies, and measures
the delays of one camera."""

import contextlib
import json
import re
import select
import socket
import threading
import time
from datetime import datetime

from tests.support import packets

_SEQ = re.compile(rb'"seq":(\d+),"boot_id"')
_KEEPALIVE_S = 60
EVERY = "*"  # as a live camera: the delays of all are kept


class Counter:
    """One thread, one connection, QoS 1."""

    def __init__(self, port: int, live_camera: str = "") -> None:
        """`live_camera`: the camera whose delays are kept, or `EVERY`. Returns when it has
        subscribed."""
        self.count = self.twice = 0  # different verdicts; copies
        self.last = b""
        self.delays_ms: list[float] = []  # capture to arrival, of the live camera
        self.late_flags = 0  # of these, marked `replayed`
        self._seen = bytearray(1 << 20)  # a byte a number
        self._highest = 0
        name = "" if live_camera == EVERY else f'{live_camera}"'
        self._mark = f'"camera":"{name}'.encode() if live_camera else b""
        self._sock = socket.create_connection(("127.0.0.1", port), 20)
        self._sock.sendall(packets.connect("counter", _KEEPALIVE_S))
        self._sock.sendall(packets.subscribe(1, "inspection/line1/result"))
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="counter", daemon=True)
        self._thread.start()
        if not self._ready.wait(20):
            raise TimeoutError("no subscription")

    def wait_for(self, count: int, silence_s: float) -> None:
        """Waits for `count` verdicts. Raises TimeoutError after `silence_s` without one."""
        with self._changed:
            while self.count < count:
                before = self.count
                if not self._changed.wait(silence_s) and self.count == before:
                    raise TimeoutError(f"{self.count} of {count} verdicts, and no more come")

    def missing(self) -> int:
        """The missing numbers below the highest."""
        return self._highest - sum(self._seen)

    def close(self) -> None:
        """Disconnects."""
        self._closed = True
        self._thread.join(20)
        self._sock.close()

    def _run(self) -> None:
        framer, pinged = packets.Framer(), time.monotonic()
        with contextlib.suppress(OSError):
            while not self._closed:
                if time.monotonic() - pinged > _KEEPALIVE_S / 4:
                    pinged = time.monotonic()
                    self._sock.sendall(packets.pingreq())
                if not select.select([self._sock], [], [], 0.2)[0]:
                    continue
                data = self._sock.recv(1 << 18)
                if not data:
                    return
                answers = b"".join(self._hear(packet) for packet in framer.feed(data))
                self._sock.sendall(answers)
                with self._changed:
                    self._changed.notify_all()

    def _hear(self, packet: bytes) -> bytes:
        if packets.kind(packet) == packets.SUBACK:
            self._ready.set()
        if packets.kind(packet) != packets.PUBLISH:
            return b""
        now = time.time()
        message = packets.open_publish(packet, level=4)
        found = _SEQ.search(message.payload)
        seq = int(found[1]) if found else 0
        while seq >= len(self._seen):
            self._seen += bytes(len(self._seen))
        if self._seen[seq]:
            self.twice += 1
        else:
            self._seen[seq] = 1
            self._highest = max(self._highest, seq)
            self.count += 1
            self.last = message.payload
            if self._mark and self._mark in message.payload:
                body = json.loads(message.payload)
                captured = datetime.fromisoformat(body["captured_at"]).timestamp()
                self.delays_ms.append((now - captured) * 1000)
                self.late_flags += bool(body["replayed"])
        return packets.puback(message.mid, level=4) if message.mid else b""

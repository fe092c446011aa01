"""A subscriber for a million verdicts: counts instead of storing bodies, and measures the
delays of one camera."""

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
ALL_CAMERAS = "*"  # the delays of all cameras are measured


class VerdictCounter:
    """One thread, one connection, QoS 1."""

    def __init__(self, port: int, live_camera: str = "") -> None:
        """Subscribes. `live_camera`: the camera whose delays are measured, or `ALL_CAMERAS`."""
        self.count = self.duplicates = 0  # different verdicts; copies
        self.last = b""
        self.delays_ms: list[float] = []  # capture to arrival, of the live camera
        self.replayed_count = 0  # of these, with `replayed`
        self._seen = bytearray(1 << 20)  # one byte per number
        self._highest = 0
        name = "" if live_camera == ALL_CAMERAS else f'{live_camera}"'
        self._camera_pattern = f'"camera":"{name}'.encode() if live_camera else b""
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
        """Waits for `count` verdicts. Raises TimeoutError when none comes for `silence_s`."""
        with self._changed:
            while self.count < count:
                before = self.count
                if not self._changed.wait(silence_s) and self.count == before:
                    raise TimeoutError(f"{self.count} of {count} verdicts, then silence")

    def missing(self) -> int:
        """The number of missing numbers below the highest."""
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
                answers = b"".join(self._handle(packet) for packet in framer.feed(data))
                self._sock.sendall(answers)
                with self._changed:
                    self._changed.notify_all()

    def _handle(self, packet: bytes) -> bytes:
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
            self.duplicates += 1
        else:
            self._seen[seq] = 1
            self._highest = max(self._highest, seq)
            self.count += 1
            self.last = message.payload
            if self._camera_pattern and self._camera_pattern in message.payload:
                body = json.loads(message.payload)
                captured = datetime.fromisoformat(body["captured_at"]).timestamp()
                self.delays_ms.append((now - captured) * 1000)
                self.replayed_count += bool(body["replayed"])
        return packets.puback(message.mid, level=4) if message.mid else b""

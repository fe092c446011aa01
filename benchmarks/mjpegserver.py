"""A network camera on a loopback port: a few different noisy JPEGs, over and over, at a rate.

The JPEGs are made in a process that ends: whoever measures memory must not share OpenCV with what
is measured.
"""

import pickle
import socket
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

PICTURES = 5
_QUALITY = 85


def noisy_jpegs(width: int, height: int, count: int = PICTURES) -> list[bytes]:
    """JPEGs of quality 85, as a sensor with noise gives them, no two alike; 200 KB at 1080p."""
    import cv2
    import numpy as np

    chance = np.random.default_rng(2026)
    ground = cv2.resize(
        chance.integers(60, 180, (max(2, height // 60), max(2, width // 60), 3), np.uint8),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    made = []
    for number in range(count):
        noise = chance.normal(0, 2.5, (height, width, 1)).astype(np.int16)
        pixels = np.clip(ground + noise, 0, 255).astype(np.uint8)
        cv2.circle(
            pixels,
            (width * (number + 1) // (count + 1), height // 2),
            height // 14,
            (30, 60, 90),
            -1,
        )
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        made.append(encoded.tobytes())
    return made


class MJPEGServer:
    """Serves whoever comes, each in a thread of its own, as `multipart/x-mixed-replace`."""

    def __init__(self, width: int, height: int, frames_per_s: float) -> None:
        command = [sys.executable, "-m", "benchmarks.mjpegserver", str(width), str(height)]
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        self._pictures: list[bytes] = pickle.loads(made)  # noqa: S301  our own
        self._interval = 1 / frames_per_s
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._server.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                client.recv(65_536)
                client.sendall(
                    b"HTTP/1.1 200 OK\r\n"
                    b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
                )
                self._stream(client)
            except OSError:
                return  # the camera was closed

    def _stream(self, client: socket.socket) -> None:
        due, number = time.monotonic(), 0
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            picture = self._pictures[number % len(self._pictures)]
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            client.sendall(head % len(picture) + picture + b"\r\n")
            number, due = number + 1, max(due + self._interval, time.monotonic())


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(noisy_jpegs(int(sys.argv[1]), int(sys.argv[2]))))

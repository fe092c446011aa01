"""What it costs to read a 1080p camera in a process of its own: bytes copied and CPU a frame,
against reading the same camera in-process, in one run.

    python -m benchmarks.handover --frames 300

The source is an MJPEG stream of this machine, decoded as the daemon does it. CPU is that of the
daemon's side and of the camera's process together; the server is a process apart and not counted.
"""

import argparse
import multiprocessing
import socket
import statistics
import time
from dataclasses import dataclass

import cv2
import numpy as np
import psutil

from edge.capture import Camera, ForkServerClient
from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent

WIDTH, HEIGHT = 1920, 1080
_ROUNDS = 3


def pictures() -> list[bytes]:
    """A few JPEGs of about 200 KB: smooth ground, texture and noise."""
    chance = np.random.default_rng(1)
    ground = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) % 256
    found = []
    for _ in range(4):
        noise = cv2.resize(
            chance.integers(0, 60, (HEIGHT // 4, WIDTH // 4), np.uint8), (WIDTH, HEIGHT)
        )
        grey = np.clip(ground * 0.7 + noise, 0, 255).astype(np.uint8)
        _, data = cv2.imencode(".jpg", cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
        found.append(data.tobytes())
    return found


def serve(server: socket.socket, fps: float) -> None:
    """Streams the pictures to one client after another."""
    parts = [
        f"--f\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
        for data in pictures()
    ]
    while True:
        client, _ = server.accept()
        client.recv(65536)
        client.sendall(
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=f\r\n\r\n"
        )
        try:
            number = 0
            while True:
                client.sendall(parts[number % len(parts)] + b"\r\n")
                number += 1
                time.sleep(1 / fps)  # it is a camera's clock
        except OSError:
            client.close()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one way to read: CPU milliseconds a frame on both sides, share of frames copied."""

    daemon_ms: float
    child_ms: float
    copied: int
    frames: int


def cpu_s(pid: int | None) -> float:
    """CPU seconds that a process has used; 0 without one."""
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def measure(camera: Camera, frames: int) -> Cost:
    """Reads so many frames, touching each as the judge does."""
    stop = StopEvent()
    child = camera.pid if isinstance(camera, IsolatedCamera) else None
    for _ in range(5):
        camera.read(stop)
    before, before_child = time.process_time(), cpu_s(child)
    for _ in range(frames):
        look = camera.read(stop)
        assert look is not None
        assert look.pixels is not None
    mine = (time.process_time() - before) * 1000 / frames
    theirs = (cpu_s(child) - before_child) * 1000 / frames
    copied = camera.copied if isinstance(camera, IsolatedCamera) else 0
    camera.close()
    return Cost(mine, theirs, copied, frames)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--fps", type=float, default=30)
    arguments = parser.parse_args()
    server = socket.create_server(("127.0.0.1", 0))
    process = multiprocessing.get_context("fork").Process(
        target=serve, args=(server, arguments.fps), daemon=True
    )
    process.start()
    config = CameraConfig(id="top", source=f"http://127.0.0.1:{server.getsockname()[1]}/")
    config = config.replace(timeout_s=30.0, open_timeout_s=60.0)
    inside, apart = [], []
    with ForkServerClient() as fork_server:
        for _ in range(_ROUNDS):
            inside.append(measure(MJPEGCamera(config), arguments.frames // _ROUNDS))
            camera = IsolatedCamera(config, Clock(), fork_server)
            apart.append(measure(camera, arguments.frames // _ROUNDS))
    process.kill()
    process.join()
    in_process = statistics.median(c.daemon_ms for c in inside)
    daemon = statistics.median(c.daemon_ms for c in apart)
    child = statistics.median(c.child_ms for c in apart)
    size = WIDTH * HEIGHT * 3
    copies = sum(c.copied for c in apart)
    print(f"in-process:           {in_process:6.2f} ms CPU a frame, all in the daemon")
    print(f"process of its own:   {daemon:6.2f} ms in the daemon, {child:6.2f} ms in the child")
    print(f"ratio, both together: {(daemon + child) / in_process:6.2f}")
    print(f"daemon alone:         {daemon / in_process:6.2f} of in-process")
    print(
        f"bytes copied a frame by the hand-over: {size} in the child (from the JPEG decoder's own "
        f"memory into the slot), {copies * size // sum(c.frames for c in apart)} in the daemon"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A network camera on a loopback port that repeats a few noisy JPEGs at a rate.

A separate process encodes the JPEGs, so that a memory measurement does not share OpenCV with the
measured process.
"""

import contextlib
import pickle
import subprocess
import sys
from collections.abc import Iterator

from edge_bench.camera_server import CameraServer

PICTURES = 5
_QUALITY = 85


def noisy_jpegs(width: int, height: int, count: int = PICTURES) -> list[bytes]:
    """Different JPEGs of quality 85 with sensor noise; 200 KB at 1080p."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(2026)
    ground = cv2.resize(
        rng.integers(60, 180, (max(2, height // 60), max(2, width // 60), 3), np.uint8),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    jpegs = []
    for number in range(count):
        noise = rng.normal(0, 2.5, (height, width, 1)).astype(np.int16)
        pixels = np.clip(ground + noise, 0, 255).astype(np.uint8)
        cv2.circle(
            pixels,
            (width * (number + 1) // (count + 1), height // 2),
            height // 14,
            (30, 60, 90),
            -1,
        )
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        jpegs.append(encoded.tobytes())
    return jpegs


@contextlib.contextmanager
def noisy_camera(width: int, height: int, frames_per_s: float) -> Iterator[str]:
    """Yields the value of `cameras[].source` for the camera."""
    command = [sys.executable, "-m", "tests.support.noisy_camera", str(width), str(height)]
    jpegs = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    server = CameraServer(pickle.loads(jpegs), frames_per_s)
    try:
        yield server.source
    finally:
        server.close()


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(noisy_jpegs(int(sys.argv[1]), int(sys.argv[2]))))

"""Writes the pictures of a measurement as files: synthetic ones or the user's. It runs as a worker
process, so that the measuring process does not import OpenCV.

    python -m edge_bench.images '{"folder": …, "count": 8, "width": 1920, "height": 1080, …}'
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import RefusedError
from edge.core.image import is_picture_name, read_picture
from edge_bench.worker_pipe import Answer, serve_request

Pixels = NDArray[np.uint8]
_JPEG_QUALITY = 85
_NOISE = 2.0  # grey levels; a 1080p JPEG then has about 200 KB
_MAX_RAW_PICTURES = 3  # a raw 4K picture has 16 MB
_VIDEO_FRAMES = 100_000
_MIN_PICTURES = 2


def draw_part(number: int, width: int, height: int) -> Pixels:
    """A synthetic part under a lamp: brushed metal, a hole, a scratch and sensor noise.

    uint8, (height, width, 3), BGR. The same number and size give the same picture.
    """
    rng = np.random.default_rng([number, width, height])
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    brushed = cv2.resize(rng.normal(0, 12, (height // 4, 8)).astype(np.float32), (width, height))
    lamp = 150 - 60 * ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2)
    grey = lamp + brushed + rng.normal(0, _NOISE, (height, width)).astype(np.float32)
    centre = tuple(int(n) for n in rng.uniform(0.3, 0.7, 2) * (width, height))
    cv2.circle(grey, centre, height // 8, 40.0, -1)
    ends = (rng.uniform(0.1, 0.9, (2, 2)) * (width, height)).astype(int)
    cv2.line(grey, ends[0].tolist(), ends[1].tolist(), 230.0, max(1, height // 300))
    tint = np.array([0.9, 1.0, 1.08], np.float32)  # copper
    return np.asarray(np.clip(grey[:, :, None] * tint, 0, 255), np.uint8)


def yuyv(pixels: Pixels) -> bytes:
    """The picture in the raw format of a camera: two bytes per pixel, luma and chroma (BT.601).

    `pixels` is uint8, (height, width, 3), BGR, of even width.
    """
    values = pixels.astype(np.float32)
    blue, green, red = values[:, :, 0], values[:, :, 1], values[:, :, 2]
    packed = np.empty((*pixels.shape[:2], 2), np.float32)
    packed[:, :, 0] = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    packed[:, 0::2, 1], packed[:, 1::2, 1] = u[:, 0::2], v[:, 0::2]
    return np.clip(np.rint(packed), 0, 255).astype(np.uint8).tobytes()


def write_pictures(request: dict[str, Any]) -> Answer:
    """Writes `folder`/jpeg/NNNN.jpg and `folder`/raw.yuyv. Returns files, size and bytes.

    `width` None keeps the size of the pictures. Raises RefusedError, PictureError.
    """
    folder, count = Path(request["folder"]), int(request["count"])
    width, height = request["width"], request["height"]
    jpegs, raw, left_out = folder / "jpeg", folder / "raw.yuyv", 0
    jpegs.mkdir(parents=True)
    files: list[str] = []
    with raw.open("wb") as to:
        for pixels, data in _pictures(request["pictures"], count, width, height):
            if width is None:
                height, width = pixels.shape[:2]
            if pixels.shape[:2] != (height, width):
                left_out += 1  # a camera has one picture size
                continue
            path = jpegs / f"{len(files):04}.jpg"
            path.write_bytes(data)
            files.append(str(path))
            if len(files) <= _MAX_RAW_PICTURES and width % 2 == 0:
                to.write(yuyv(pixels))
    if len(files) < _MIN_PICTURES:
        raise RefusedError(
            f"--pictures {request['pictures']}: only {len(files)} of one size; "
            f"give at least {_MIN_PICTURES}: a camera that repeats one picture counts as frozen"
        )
    size = sum(Path(file).stat().st_size for file in files) / len(files)
    return {
        "jpeg": files,
        "raw": str(raw) if width % 2 == 0 else None,
        "width": width,
        "height": height,
        "jpeg_kb": round(size / 1000, 1),
        "left_out": left_out,
    }


def _pictures(
    source: str | None, count: int, width: int | None, height: int | None
) -> Iterator[tuple[Pixels, bytes]]:
    """Pixels and JPEG of each picture. A user's JPEG stays unchanged unless its size changes."""
    if source is None:
        for number in range(count):
            assert width is not None
            assert height is not None
            pixels = draw_part(number, width, height)
            yield pixels, _encode_jpeg(pixels)
        return
    for pixels, data in _user_pictures(Path(source), count):
        if width is None or height is None or pixels.shape[:2] == (height, width):
            yield pixels, data or _encode_jpeg(pixels)
            continue
        resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        yield np.asarray(resized, np.uint8), _encode_jpeg(np.asarray(resized, np.uint8))


def _user_pictures(source: Path, count: int) -> Iterator[tuple[Pixels, bytes | None]]:
    if source.is_dir():
        files = sorted(p for p in source.rglob("*") if p.is_file() and is_picture_name(p))
        for path in files[:: max(1, len(files) // count)][:count]:
            jpeg = path.suffix.lower() in (".jpg", ".jpeg")
            yield read_picture(path), path.read_bytes() if jpeg else None
        if not files:
            raise RefusedError(f"--pictures {source}: contains no .jpg, .png or .bmp picture")
        return
    video = cv2.VideoCapture(str(source), cv2.CAP_FFMPEG)
    try:
        total = min(_VIDEO_FRAMES, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
        step, found = max(1, total // count), 0
        for number in range(step * count):
            if not video.grab():
                break
            if number % step == 0:
                decoded, pixels = video.retrieve()
                if decoded:
                    found += 1
                    yield np.asarray(pixels, np.uint8), None
        if not found:
            raise RefusedError(
                f"--pictures {source}: is neither a folder of pictures nor a readable video"
            )
    finally:
        video.release()


def _encode_jpeg(pixels: Pixels) -> bytes:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(data)


if __name__ == "__main__":
    sys.exit(serve_request(write_pictures))

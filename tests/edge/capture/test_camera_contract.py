"""The contract of `Camera`, for every kind of camera and the scripted one of the tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.capture.camera import Camera
from edge.capture.drivers.rtsp import RTSPCamera
from edge.capture.factory import CameraFactory
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from tests.conftest import WritePicture
from tests.edge.capture.conftest import (
    FakeCapture,
    MJPEGServer,
    ScriptedCamera,
    camera_config,
    noise,
)

Open = Callable[[], Camera]
KINDS = [
    *("scripted", "replay", "replay-video", "folder", "test"),
    *("rtsp-fake", "rtsp-video", "process-http"),
]
INTERRUPTIBLE = [*KINDS[:5], "process-http"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of camera in turn."""
    return str(request.param)


@pytest.fixture
def opened(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    write_picture: WritePicture,
    fork_server: ForkServerClient,
) -> Camera:
    """An open camera with two pictures, or with an endless stream."""
    real = Clock()
    drop = write_picture("drop/a.png").parent
    write_picture("drop/b.png", red=255)

    def source(text: str, **options: Any) -> Camera:
        return CameraFactory(fork_server).open(camera_config(text, **options), real)

    def video() -> Camera:
        path = request.getfixturevalue("video")
        return RTSPCamera(
            camera_config("rtsp://video"), lambda _source, *rest: cv2.VideoCapture(str(path), *rest)
        )

    def http() -> Camera:
        server: MJPEGServer = request.getfixturevalue("mjpeg_server")
        return source(server.url, timeout_s=20)

    pictures: list[tuple[bool, Any]] = [(True, noise(n)) for n in range(2)]
    openers: dict[str, Open] = {
        "scripted": lambda: ScriptedCamera([noise(1), noise(2)]),
        "replay": lambda: source(f"replay:{drop}"),
        "replay-video": lambda: source(f"replay:{request.getfixturevalue('video')}"),
        "folder": lambda: source(f"folder:{drop}"),
        "test": lambda: source("test:", fps=1000, width=64, height=48),
        "rtsp-fake": lambda: RTSPCamera(camera_config("rtsp://x"), FakeCapture(pictures)),
        "rtsp-video": video,
        "process-http": http,
    }
    return openers[kind]()


def test_read_gives_bgr_pixels(opened: Camera) -> None:
    """A read holds uint8 pixels, (height, width, 3), in its own memory. An encoded item is decoded
    on demand; the JPEG that comes with pixels has the same."""
    looks = opened.read(StopEvent()), opened.read(StopEvent())
    opened.close()
    pictures = []
    for look in looks:
        assert look is not None
        assert look.fault is None
        assert look.encoded is not None or look.pixels is not None
        pixels = look.decoded()
        assert pixels is not None
        if look.encoded is not None:
            assert np.array_equal(look.encoded.decode()[0], pixels)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        pictures.append(pixels)
    first, second = pictures
    assert not np.shares_memory(first, second)
    assert not np.array_equal(first, second)


def test_items_have_names_and_live_frames_have_none(opened: Camera) -> None:
    """An item that is judged exactly once has a name; a live frame has none."""
    look = opened.read(StopEvent())
    opened.close()
    assert look is not None
    assert (look.item is None) == opened.live


def test_close_twice_and_after_a_failed_read(opened: Camera) -> None:
    """Closing twice does no harm."""
    opened.close()
    opened.close()


def test_read_after_close_ends(opened: Camera) -> None:
    """A read after close returns None or raises CameraError; a file may still return a picture."""
    opened.close()
    stop = StopEvent()
    stop.set()
    try:
        look = opened.read(stop)
    except CameraError:
        return
    assert look is None


def test_read_ends_on_stop(opened: Camera, kind: str) -> None:
    """A read that can be interrupted ends without a picture when the daemon stops."""
    stop = StopEvent()
    stop.set()
    try:
        look = opened.read(stop)
    finally:
        opened.close()
    assert look is None or kind not in INTERRUPTIBLE


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("replay:{tmp}/none", "run `make demo` if it is the demo's, or check the path"),
        ("replay:{tmp}", "no .jpg, .png or .bmp picture in {tmp}; check the path"),
        ("folder:{tmp}/none", "{tmp}/none is no folder; create it, or correct the source"),
        ("v4l2:/dev/video77", "no such device; `ls /dev/v4l/by-id` lists the cameras"),
        (
            "http://u:s3cret@127.0.0.1:9/x",
            "http://127.0.0.1:9/x: cannot be opened (Connection refused",
        ),
    ],
)
def test_a_missing_source_is_one_sentence(
    source: str, words: str, tmp_path: Path, fork_server: ForkServerClient
) -> None:
    """Opening a missing source raises CameraError with place and fix, without the password."""
    config = camera_config(source.format(tmp=tmp_path))

    def read_once() -> None:
        camera = CameraFactory(fork_server).open(config, Clock())
        try:
            camera.read(StopEvent())
        finally:
            camera.close()

    with pytest.raises(CameraError) as caught:
        read_once()
    text = str(caught.value)
    assert words.format(tmp=tmp_path) in text
    assert "\n" not in text
    assert "s3cret" not in text

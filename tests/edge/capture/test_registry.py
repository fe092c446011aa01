"""Camera drivers with wrong answers of their devices."""

import errno
import stat
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.capture.camera import DrivenCamera
from edge.capture.drivers.clock_offset import ClockOffset
from edge.capture.drivers.credentials import split_source, with_credentials
from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.capture.drivers.rtsp import RTSPCamera, ffmpeg_options
from edge.capture.drivers.v4l2 import V4L2Camera
from edge.capture.drivers.v4l2_controls import set_controls
from edge.core.clock import StopEvent
from edge.core.errors import CameraError
from tests.edge.capture.conftest import FakeCapture, MJPEGServer, camera_config, noise


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A file in place of a camera's device file."""
    path = tmp_path / "video0"
    path.touch()
    return path


def read_all(camera: DrivenCamera, count: int) -> list[Any]:
    """At most `count` reads."""
    return [camera.read(StopEvent()) for _ in range(count)]


def test_grab_that_fails_is_a_lost_camera() -> None:
    """A driver without more frames is a lost camera; its error shows no password."""
    camera = RTSPCamera(camera_config("rtsp://u:s3cret@cam/1"), FakeCapture([(False, None)]))
    with pytest.raises(CameraError, match="rtsp://cam/1: delivers no picture; check"):
        camera.read(StopEvent())


@pytest.mark.parametrize("answer", [(True, None), (True, np.zeros((0, 0, 3), np.uint8))])
def test_true_without_a_picture_is_a_fault(answer: tuple[bool, Any]) -> None:
    """True without a picture, and an empty picture, are faults and no pictures."""
    look = RTSPCamera(camera_config("rtsp://cam/1"), FakeCapture([answer])).read(StopEvent())
    assert look is not None
    assert look.pixels is None
    assert "could not be decoded" in str(look.fault)


def test_camera_that_does_not_open_is_released(device: Path) -> None:
    """A device that cannot be opened is released at once."""
    for camera, source in ((RTSPCamera, "rtsp://cam/1"), (V4L2Camera, f"v4l2:{device}")):
        capture = FakeCapture([], opened=False)
        with pytest.raises(CameraError, match="cannot be opened"):
            camera(camera_config(source), capture)
        assert capture.released == 1


def test_network_reads_have_time_outs() -> None:
    """Opening and reading a network camera have time-outs."""
    capture = FakeCapture([])
    RTSPCamera(camera_config("rtsp://cam/1", timeout_s=1.5, open_timeout_s=7), capture)
    source, backend, limits = capture.arguments
    assert (source, backend) == ("rtsp://cam/1", cv2.CAP_FFMPEG)
    options = dict(zip(limits[::2], limits[1::2]))
    assert options[cv2.CAP_PROP_OPEN_TIMEOUT_MSEC] == 7000
    assert options[cv2.CAP_PROP_READ_TIMEOUT_MSEC] == 7000  # the first may be a whole GOP away


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_options(transport: str) -> None:
    """The transport is the configured one. FFmpeg looks for the picture's size nearly as long as
    the camera may take to open: a key frame may come every 10 s."""
    config = camera_config("rtsp://cam/1", transport=transport, open_timeout_s=30)
    options = dict(pair.split(";") for pair in ffmpeg_options(config).split("|"))
    assert options["rtsp_transport"] == transport
    assert int(options["analyzeduration"]) == 24_000_000
    assert options["allowed_media_types"] == "video"


def test_credentials_come_from_a_file(tmp_path: Path) -> None:
    """Name and password come from a file, with any characters, and go only to the camera."""
    file = tmp_path / "credentials"
    file.write_text("oper@tor:p:ss/w#rd\n", encoding="utf-8")
    capture = FakeCapture([])
    RTSPCamera(camera_config("rtsp://cam:554/1", credentials_file=str(file)), capture)
    assert capture.arguments[0] == "rtsp://oper%40tor:p%3Ass%2Fw%23rd@cam:554/1"
    address, found = split_source(camera_config(capture.arguments[0]))
    assert (address, found) == ("rtsp://cam:554/1", ("oper@tor", "p:ss/w#rd"))
    assert with_credentials("rtsp://cam/1", None) == "rtsp://cam/1"


@pytest.mark.parametrize("text", ["", "operator", "a:b\nc:d"])
def test_malformed_credentials_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    """A file without name:password is refused, and the error does not show its text."""
    file = tmp_path / "credentials"
    file.write_text(text, encoding="utf-8")
    config = camera_config("rtsp://cam/1", credentials_file=str(file))
    with pytest.raises(CameraError, match=r"must hold one line, name:password") as caught:
        split_source(config)
    assert not text or text not in str(caught.value)


def test_usb_camera_gets_its_settings(device: Path) -> None:
    """Format, width, height, rate and buffer count are set on a USB camera."""
    capture = FakeCapture([(True, noise(1))])
    capture.formats = ["YUYV"]
    config = camera_config(f"v4l2:{device}", width=1280, height=720, fps=15, pixel_format="yuyv")
    camera = V4L2Camera(config, capture)
    assert capture.arguments == (str(device), cv2.CAP_V4L2)
    assert capture.settings == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 15,
        cv2.CAP_PROP_BUFFERSIZE: 2,
    }
    camera.close()
    assert capture.released == 1


def test_unsupported_format_is_an_error(device: Path) -> None:
    """A camera that silently keeps another pixel format raises CameraError."""
    capture = FakeCapture([])
    capture.formats = ["YUYV"]
    with pytest.raises(CameraError, match=r"does not give pixel_format MJPG \(gives YUYV\)"):
        V4L2Camera(camera_config(f"v4l2:{device}", pixel_format="MJPG"), capture)
    assert capture.released == 1


def test_mjpeg_is_taken_raw_and_checked(device: Path) -> None:
    """JPEG bytes of a camera are kept as they are; a truncated JPEG is a fault, not grey pixels."""
    done, data = cv2.imencode(".jpg", noise(1, side=64))
    assert done
    row = data.reshape(1, -1)
    capture = FakeCapture([(True, row), (True, row[:, : row.size // 2]), (True, row)])
    capture.formats = ["MJPG"]
    camera = V4L2Camera(camera_config(f"v4l2:{device}", pixel_format="MJPG"), capture)
    assert capture.settings[cv2.CAP_PROP_CONVERT_RGB] == 0
    first, second, third = read_all(camera, 3)
    assert first.pixels.shape == (64, 64, 3)
    assert second.pixels is None
    assert "truncated" in second.fault
    np.testing.assert_array_equal(third.pixels, first.pixels)


def test_device_without_permission_names_the_group(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for a device without permission names the group."""
    device.chmod(stat.S_IRUSR)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may open everything
    with pytest.raises(CameraError, match="no permission; add the user to the group `video`"):
        V4L2Camera(camera_config(f"v4l2:{device}"), FakeCapture([]))


class FakeDriver:
    """VIDIOC_QUERYCTRL and VIDIOC_S_CTRL of a UVC camera, as the kernel documents them."""

    def __init__(self) -> None:
        self.controls = [
            (0x00980900, 1, b"Brightness", 0, 255, 0),
            (0x00980901, 1, b"Old Knob", 0, 255, 0x0001),  # disabled
            (0x009A0001, 6, b"Camera Controls", 0, 0, 0),  # a heading
            (0x009A0901, 3, b"Auto Exposure", 0, 3, 0),
            (0x009A0902, 1, b"Exposure Time, Absolute", 3, 2047, 0),
        ]
        self.auto = 3
        self.set: list[tuple[int, int]] = []

    def __call__(self, _file: int, request: int, data: bytes) -> bytes:
        if request == 0xC0445624:
            asked = struct.unpack_from("<I", data)[0] & 0x7FFFFFFF
            for number, kind, name, low, high, flags in self.controls:
                if number > asked:
                    return struct.pack(
                        "<II32siiiiIII", number, kind, name, low, high, 1, 0, flags, 0, 0
                    )
            raise OSError(errno.EINVAL, "Invalid argument")
        assert request == 0xC008561C
        number, value = struct.unpack("<Ii", data)
        if number == 0x009A0902 and self.auto != 1:
            raise OSError(errno.EACCES, "Permission denied")
        if number == 0x009A0901:
            self.auto = value
        self.set.append((number, value))
        return data


def test_controls_are_set_by_their_names_in_order(device: Path) -> None:
    """Controls have the names of v4l2-ctl and are set in the order of config.yaml."""
    driver = FakeDriver()
    set_controls(device, {"auto_exposure": 1, "exposure_time_absolute": 200}, driver)
    assert driver.set == [(0x009A0901, 1), (0x009A0902, 200)]


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ({"gain": 1}, "controls.gain: the camera has no such control (it has brightness, auto_"),
        ({"old_knob": 1}, "no such control"),
        ({"camera_controls": 1}, "no such control"),
        ({"brightness": 300}, "controls.brightness: must be 0 to 255 (got 300)"),
        ({"brightness": 1.5}, "must be a whole number (got 1.5)"),
        ({"brightness": "x"}, "must be a whole number (got 'x')"),
        ({"exposure_time_absolute": 200}, "refuses 200 (Permission denied); an automatic"),
    ],
)
def test_control_that_cannot_be_set_is_one_sentence(
    device: Path, controls: dict[str, Any], words: str
) -> None:
    """An unknown, out-of-range or refused control raises CameraError with the fix."""
    with pytest.raises(CameraError) as caught:
        set_controls(device, controls, FakeDriver())
    assert words in str(caught.value)


def test_disconnected_network_camera_is_lost(mjpeg_server: MJPEGServer) -> None:
    """When the cable of a network camera is pulled in mid-stream, the read raises CameraError."""
    camera = MJPEGCamera(camera_config(mjpeg_server.url, timeout_s=5))
    assert camera.read(StopEvent()) is not None
    mjpeg_server.gone.set()
    with pytest.raises(CameraError, match=r"stream has ended|delivers no picture"):
        read_all(camera, 2000)
    camera.close()


def test_http_without_a_stream_is_one_sentence(mjpeg_server: MJPEGServer) -> None:
    """A web page instead of a stream and a missing address raise one sentence."""
    base = mjpeg_server.url.rpartition("/")[0]
    with pytest.raises(CameraError, match="sends text/html, not an MJPEG stream"):
        MJPEGCamera(camera_config(f"{base}/index.html"))
    with pytest.raises(CameraError, match=r"HTTP 404 .*check the address"):
        MJPEGCamera(camera_config(f"{base}/nothing"))


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_http_credentials(mjpeg_server: MJPEGServer, tmp_path: Path, scheme: str) -> None:
    """The right name and password open a camera, by Basic and by Digest; others do not."""
    mjpeg_server.asks = scheme
    file = tmp_path / "credentials"
    file.write_text("operator:s3cret", encoding="utf-8")
    camera = MJPEGCamera(camera_config(mjpeg_server.url, credentials_file=str(file)))
    look = camera.read(StopEvent())
    camera.close()
    assert look is not None
    assert look.pixels is not None
    file.write_text("operator:wrong", encoding="utf-8")
    with pytest.raises(CameraError, match="HTTP 401") as caught:
        MJPEGCamera(camera_config(mjpeg_server.url, credentials_file=str(file)))
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("length", [True, False], ids=["with-length", "without-length"])
def test_damaged_jpeg_in_a_stream_is_a_fault(mjpeg_server: MJPEGServer, *, length: bool) -> None:
    """A truncated JPEG is a fault; those around it are read, with and without Content-Length."""
    mjpeg_server.length, mjpeg_server.damaged = length, 3
    camera = MJPEGCamera(camera_config(mjpeg_server.url))
    looks = read_all(camera, 5)
    camera.close()
    assert [look.pixels is None for look in looks] == [False, False, True, False, False]
    assert "truncated" in looks[2].fault


def test_clock_offset_shows_late_frames() -> None:
    """The shortest delay counts as none; a stall shows as age, also in the following frames."""
    stamps = ClockOffset()
    assert [stamps.capture_tick(n * 0.1, 500 + n * 0.1) for n in range(5)] == [
        pytest.approx(500 + n * 0.1) for n in range(5)
    ]
    for n in range(5, 30):  # from here on each comes 2 s late
        late = 502 + n * 0.1 - stamps.capture_tick(n * 0.1, 502 + n * 0.1)
        assert late == pytest.approx(2, abs=0.01)
    assert stamps.capture_tick(3.0, 503.0) == pytest.approx(503, abs=0.01)


def test_clock_offset_after_a_restart_of_the_camera() -> None:
    """A clock that restarts at zero gives neither a future nor an old picture."""
    stamps = ClockOffset()
    stamps.capture_tick(1000.0, 50.0)
    assert stamps.capture_tick(0.5, 60.0) == 60.0
    assert stamps.capture_tick(0.6, 60.3) == pytest.approx(60.1, abs=0.01)

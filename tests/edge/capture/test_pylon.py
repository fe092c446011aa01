"""pypylon's camera emulator: the real SDK and the real grab loop, without hardware."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.capture.drivers.pylon import PylonCamera
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from tests.conftest import Require
from tests.edge.capture.conftest import camera_config

Open = Callable[..., PylonCamera]


@pytest.fixture(autouse=True)
def emulator(monkeypatch: pytest.MonkeyPatch, require: Require) -> None:
    """Two emulated cameras, 0815-0000 and 0815-0001."""
    require("pypylon", "pip install '.[pylon]'")
    monkeypatch.setenv("PYLON_CAMEMU", "2")


@pytest.fixture
def opened() -> Iterator[Open]:
    """`opened("pylon:0815-0000", fps=20)`: an opened camera."""
    made: list[PylonCamera] = []

    def make(source: str = "pylon:0815-0000", **options: Any) -> PylonCamera:
        made.append(PylonCamera(camera_config(source, **{"timeout_s": 20, **options})))
        return made[-1]

    yield make
    for camera in made:
        camera.close()


@pytest.mark.slow
def test_the_picture_of_the_emulator_arrives(opened: Open, tmp_path: Path) -> None:
    """A colour picture of the emulator arrives as BGR, pixel by pixel."""
    shown = np.zeros((96, 128, 3), np.uint8)
    shown[:48, :, 0], shown[:, :64, 2], shown[60:, 70:, 1] = 200, 150, 99
    path = tmp_path / "part.png"
    assert cv2.imwrite(str(path), shown)
    camera = opened(
        width=128,
        height=96,
        pixel_format="RGB8Packed",
        controls={
            "TestImageSelector": "Off",
            "ImageFilename": str(path),
            "ImageFileMode": True,
        },
    )
    look = camera.read(StopEvent())
    assert look is not None
    np.testing.assert_array_equal(look.pixels, shown)


@pytest.mark.slow
@pytest.mark.parametrize("pixel_format", ["Mono8", "BGR8Packed", "BayerRG8"])
def test_pixel_formats_become_bgr(opened: Open, pixel_format: str) -> None:
    """Grey, colour and raw sensor pixels all become BGR of the configured size."""
    look = opened(width=640, height=480, pixel_format=pixel_format).read(StopEvent())
    assert look is not None
    assert look.pixels is not None
    assert look.pixels.shape == (480, 640, 3)
    assert np.ptp(look.pixels) > 50


@pytest.mark.slow
def test_failed_buffers_are_faults_and_reading_goes_on(opened: Open) -> None:
    """A buffer that the driver reports as failed is a fault; the next ones are good."""
    camera = opened(fps=50, controls={"ForceFailedBufferCount": 3})
    assert camera.read(StopEvent()) is not None
    camera.set_feature("ForceFailedBuffer", True)  # the emulator has it only while it grabs
    looks = [camera.read(StopEvent()) for _ in range(60)]
    faults = [look for look in looks if look is not None and look.fault]
    assert 1 <= len(faults) <= 3
    assert all(look.pixels is None and "came damaged" in str(look.fault) for look in faults)
    assert looks[-1] is not None
    assert looks[-1].pixels is not None


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("pylon:77", {}, "there is no such camera (found 0815-0000, 0815-0001)"),
        ("pylon:", {}, "2 cameras are there; name one: pylon:0815-0000, pylon:0815-0001"),
        ("pylon:0815-0000", {"controls": {"Nope": 1}}, "Nope: this camera does not take it"),
        ("pylon:0815-0000", {"controls": {"ExposureTime": 1e9}}, "ExposureTime: 1000000000.0: "),
        ("pylon:0815-0000", {"pixel_format": "RGBX"}, "PixelFormat: 'RGBX': "),
    ],
)
def test_a_camera_that_does_not_open_is_one_sentence(
    opened: Open, source: str, options: dict[str, Any], words: str
) -> None:
    """A missing camera and a refused feature raise one sentence."""
    with pytest.raises(CameraError) as caught:
        opened(source, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_two_cameras_in_processes_of_their_own() -> None:
    """Two industrial cameras at once, through `IsolatedCamera`, and an orderly end."""
    # The fork server of other tests does not know the emulated cameras.
    fork_server = ForkServerClient()
    cameras = [
        IsolatedCamera(
            camera_config(f"pylon:0815-000{n}", width=320, height=240, fps=20, open_timeout_s=60),
            Clock(),
            fork_server,
        )
        for n in range(2)
    ]
    try:
        for camera in cameras:
            look = camera.read(StopEvent())
            assert look is not None
            assert look.pixels is not None
            assert look.pixels.shape == (240, 320, 3)
    finally:
        for camera in cameras:
            camera.close()
        fork_server.close()

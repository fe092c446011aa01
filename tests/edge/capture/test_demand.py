"""On-demand decoding: an idle camera decodes few frames, and its checks stay as strict."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from edge.capture.camera import CameraRead
from edge.capture.isolation.child import DuplicateFrameDetector
from edge.capture.isolation.demand import DemandGate
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.capture.quality import FrameChecks
from edge.core.clock import Clock, StopEvent
from edge.core.image import examine_picture
from tests.edge.capture.conftest import MJPEGServer, ScriptedCamera, camera_config, noise
from tests.edge.capture.reader_harness import MakeHarness, lost
from tests.support.waiting import wait_until

TRIGGER = {"kind": "request"}


def _jpeg(seed: int, comment: bytes = b"") -> bytes:
    """A JPEG with a comment segment before its scan, as some cameras write the time."""
    data = cv2.imencode(".jpg", noise(seed, 32))[1].tobytes()
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment if comment else b""
    return data[:2] + segment + data[2:]


def _look(data: bytes) -> CameraRead:
    return CameraRead(None, encoded=examine_picture(data, "a"))


def test_identical_scans_are_counted_whatever_the_header_holds() -> None:
    """Only the scan counts; a damaged picture equals no other."""
    duplicates, seen = DuplicateFrameDetector(), []
    for look in (
        _look(_jpeg(1, b"12:00:00")),
        _look(_jpeg(1, b"12:00:01")),
        _look(_jpeg(1, b"12:00:02")),
        _look(_jpeg(2, b"12:00:02")),
        CameraRead(None, fault="damaged"),
        CameraRead(None, fault="damaged"),
        _look(_jpeg(2)),
    ):
        duplicates.add(look)
        seen.append(duplicates.repeats)
    assert seen == [0, 1, 2, 0, 0, 0, 0]


def test_a_camera_that_froze_while_idle_is_rejected(make_harness: MakeHarness) -> None:
    """A frame that is new to the daemon but equals skipped frames before it may be older than the
    part."""
    harness = make_harness(frozen_after=3)
    still, stiller = (CameraRead(noise(number), repeats=number) for number in (1, 2))
    frames = harness.run(ScriptedCamera([noise(0), still, stiller, noise(5), lost()]))
    assert [frame.fault is None for frame in frames] == [True, False, True, False]
    assert "the same picture 3 times in a row" in str(frames[1].fault)
    assert harness.reader.repeated == 1


@pytest.mark.parametrize(("kind", "frames", "missed"), [("request", 8, 0), ("continuous", 2, 6)])
def test_skipped_frames_are_missed_only_in_continuous_mode(
    make_harness: MakeHarness, kind: str, frames: int, missed: int
) -> None:
    """With a trigger, skipped frames count as frames of the camera, so its rate is true. In
    continuous mode they count as passed over."""
    harness = make_harness(trigger={"kind": kind})
    harness.run(ScriptedCamera([CameraRead(noise(1), passed_over=6), noise(2), lost()]))
    assert (harness.reader.frames, harness.reader.passed_over) == (frames, missed)


def test_identical_pictures_can_be_allowed() -> None:
    """With `frozen_after: null` no repeat is rejected."""
    checks = FrameChecks(camera_config("v4l2:/dev/video0", frozen_after=None))
    assert checks.check(CameraRead(noise(1), repeats=9), 0.0) is None


@dataclass
class Demand:
    """Whether a part waits; the test sets it."""

    waits: bool = False

    def __call__(self) -> bool:
        return self.waits


@pytest.fixture
def demand() -> Demand:
    """No part waits at first."""
    return Demand()


@pytest.fixture
def gate(demand: Demand) -> DemandGate:
    """A gate with an idle interval of 100 s."""
    return DemandGate(demand, idle_interval_s=100.0)


@pytest.fixture
def camera(
    mjpeg_server: MJPEGServer,
    gate: DemandGate,
    fork_server: ForkServerClient,
) -> Iterator[IsolatedCamera]:
    """A network camera with a trigger, 50 pictures/s, decoded every 100 s while idle."""
    config = camera_config(mjpeg_server.url, timeout_s=600, open_timeout_s=30, trigger=TRIGGER)
    camera = IsolatedCamera(config, Clock(), fork_server, demand=gate)
    yield camera
    camera.close()


def _asked(camera: IsolatedCamera) -> tuple[threading.Thread, list[CameraRead]]:
    """A thread that reads once, and a list that gets the read."""
    looks: list[CameraRead] = []
    thread = threading.Thread(target=lambda: looks.append(_read(camera)))
    thread.start()
    return thread, looks


def _read(camera: IsolatedCamera) -> CameraRead:
    look = camera.read(StopEvent())
    assert look is not None
    assert look.fault is None
    return look


@pytest.mark.slow
def test_an_idle_camera_skips_frames_until_a_part_comes(
    camera: IsolatedCamera,
    gate: DemandGate,
    demand: Demand,
    mjpeg_server: MJPEGServer,
) -> None:
    """The first picture comes at once. Then the process grabs and skips frames until a part is
    announced: it gets the next one."""
    assert _read(camera).pixels is not None
    thread, looks = _asked(camera)
    sent = mjpeg_server.sent
    wait_until(lambda: mjpeg_server.sent > sent + 20)
    assert not looks
    now = Clock().tick()
    demand.waits = True
    gate.expedite()
    thread.join(30)
    (look,) = looks
    assert look.captured_tick is not None
    assert look.captured_tick > now - 1
    assert look.passed_over >= 5
    assert look.repeats == 0
    assert _read(camera).pixels is not None  # the next read is urgent too: the part is still open


def test_a_part_before_the_request_is_served_at_once(
    camera: IsolatedCamera, demand: Demand
) -> None:
    """A request while a part is open is urgent from the start."""
    demand.waits = True
    for _ in range(5):
        assert _read(camera).pixels is not None


@pytest.mark.slow
def test_repeats_while_idle_are_reported(
    camera: IsolatedCamera,
    gate: DemandGate,
    demand: Demand,
    mjpeg_server: MJPEGServer,
) -> None:
    """The camera froze after the last read: the next read reports it, though its pixels are new."""
    first = _read(camera)
    sent = mjpeg_server.sent
    thread, looks = _asked(camera)
    wait_until(lambda: mjpeg_server.sent > sent + 5)
    mjpeg_server.frozen = True
    sent = mjpeg_server.sent
    wait_until(lambda: mjpeg_server.sent > sent + 20)
    demand.waits = True
    gate.expedite()
    thread.join(30)
    (look,) = looks
    assert look.repeats > 2
    assert first.pixels is not None
    assert look.pixels is not None
    assert not np.array_equal(first.pixels, look.pixels)


def test_expedite_acts_only_on_a_pending_request() -> None:
    """Between `request` and `answered` it is passed on once; before and after it does nothing."""
    calls: list[str] = []
    gate = DemandGate(lambda: False)
    gate.expedite()
    gate.request(lambda idle: calls.append(f"idle {idle}"), lambda: calls.append("expedite"))
    gate.expedite()
    gate.expedite()
    gate.request(lambda idle: calls.append(f"idle {idle}"), lambda: calls.append("expedite"))
    gate.answered()
    gate.expedite()
    assert calls == ["idle True", "expedite", "idle True"]

"""A camera whose pictures nobody waits for is not decoded, and is believed no more for that."""

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
from tests.edge.capture.reader_harness import Build, lost
from tests.support.waiting import wait_until

TRIGGER = {"kind": "request"}


def _jpeg(seed: int, comment: bytes = b"") -> bytes:
    """A picture; the comment stands in a segment of its own before it, as a camera's clock may."""
    data = cv2.imencode(".jpg", noise(seed, 32))[1].tobytes()
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment if comment else b""
    return data[:2] + segment + data[2:]


def _look(data: bytes) -> CameraRead:
    return CameraRead(None, encoded=examine_picture(data, "a"))


def test_equal_pictures_are_counted_whatever_the_clock_in_them_says() -> None:
    """What differs before the scan is not the picture; a damaged one is like no other."""
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


def test_a_picture_that_stood_still_unseen_is_not_believed(house: Build) -> None:
    """New to the daemon, but the same as pictures right before it that were passed over: it may be
    older than the part that is waited for."""
    home = house(frozen_after=3)
    still, stiller = (CameraRead(noise(number), repeats=number) for number in (1, 2))
    frames = home.run(ScriptedCamera([noise(0), still, stiller, noise(5), lost()]))
    assert [frame.fault is None for frame in frames] == [True, False, True, False]
    assert "the same picture 3 times in a row" in str(frames[1].fault)
    assert home.reader.repeated == 1


@pytest.mark.parametrize(("kind", "frames", "missed"), [("request", 8, 0), ("continuous", 2, 6)])
def test_what_nobody_waited_for_is_not_missed(
    house: Build, kind: str, frames: int, missed: int
) -> None:
    """Pictures passed over count as the camera's, so its rate is true; only where every picture is
    to be judged they are skipped ones."""
    home = house(trigger={"kind": kind})
    home.run(ScriptedCamera([CameraRead(noise(1), passed_over=6), noise(2), lost()]))
    assert (home.reader.frames, home.reader.passed_over) == (frames, missed)


def test_equal_pictures_may_be_honest() -> None:
    """With `frozen_after: null` nothing of it counts."""
    checks = FrameChecks(camera_config("v4l2:/dev/video0", frozen_after=None))
    assert checks.check(noise(1), 0.0, repeats=9) is None


@dataclass
class Party:
    """A part that a test announces."""

    waits: bool = False

    def __call__(self) -> bool:
        return self.waits


@pytest.fixture
def party() -> Party:
    """Nobody, at first."""
    return Party()


@pytest.fixture
def idle(party: Party) -> DemandGate:
    """As the camera's side makes it."""
    return DemandGate(party, idle_interval_s=100.0)


@pytest.fixture
def camera(
    mjpeg_server: MJPEGServer,
    idle: DemandGate,
    fork_server: ForkServerClient,
) -> Iterator[IsolatedCamera]:
    """A network camera with a trigger, 50 pictures a second, looked at every 100 s when idle."""
    config = camera_config(mjpeg_server.url, timeout_s=600, open_timeout_s=30, trigger=TRIGGER)
    camera = IsolatedCamera(config, Clock(), fork_server, demand=idle)
    yield camera
    camera.close()


def _asked(camera: IsolatedCamera) -> tuple[threading.Thread, list[CameraRead]]:
    """Somebody who reads one look, and what it is as soon as it has come."""
    looks: list[CameraRead] = []
    thread = threading.Thread(target=lambda: looks.append(_read(camera)))
    thread.start()
    return thread, looks


def _read(camera: IsolatedCamera) -> CameraRead:
    look = camera.read(StopEvent())
    assert look is not None
    assert look.fault is None
    return look


def test_an_idle_camera_is_passed_over_until_somebody_comes(
    camera: IsolatedCamera,
    idle: DemandGate,
    party: Party,
    mjpeg_server: MJPEGServer,
) -> None:
    """The first picture comes at once. Then pictures are taken from the driver and passed over,
    however many come, until a part is announced: the next one is for it."""
    assert _read(camera).pixels is not None
    thread, looks = _asked(camera)
    sent = mjpeg_server.sent
    wait_until(lambda: mjpeg_server.sent > sent + 20)
    assert not looks
    now = Clock().tick()
    party.waits = True
    idle.expedite()
    thread.join(30)
    (look,) = looks
    assert look.captured_tick is not None
    assert look.captured_tick > now - 1
    assert look.passed_over >= 5
    assert look.repeats == 0
    assert _read(camera).pixels is not None  # and so it goes on while the part is open


def test_who_comes_before_the_question_is_served_at_once(
    camera: IsolatedCamera, party: Party
) -> None:
    """Nobody needs to hurry a camera that is asked while a part is open."""
    party.waits = True
    for _ in range(5):
        assert _read(camera).pixels is not None


def test_pictures_that_stand_still_unseen_are_told(
    camera: IsolatedCamera,
    idle: DemandGate,
    party: Party,
    mjpeg_server: MJPEGServer,
) -> None:
    """The camera froze after the last look: the next look says so, though its pixels are new."""
    first = _read(camera)
    sent = mjpeg_server.sent
    thread, looks = _asked(camera)
    wait_until(lambda: mjpeg_server.sent > sent + 5)
    mjpeg_server.frozen = True
    sent = mjpeg_server.sent
    wait_until(lambda: mjpeg_server.sent > sent + 20)
    party.waits = True
    idle.expedite()
    thread.join(30)
    (look,) = looks
    assert look.repeats > 2
    assert first.pixels is not None
    assert look.pixels is not None
    assert not np.array_equal(first.pixels, look.pixels)


def test_hurry_is_for_the_question_that_is_open() -> None:
    """Between `ask` and `answered` it is passed on, once; before and after it says nothing."""
    said: list[str] = []
    idle = DemandGate(lambda: False)
    idle.expedite()
    idle.request(lambda quiet: said.append(f"ask {quiet}"), lambda: said.append("hurry"))
    idle.expedite()
    idle.expedite()
    idle.request(lambda quiet: said.append(f"ask {quiet}"), lambda: said.append("hurry"))
    idle.answered()
    idle.expedite()
    assert said == ["ask True", "hurry", "ask True"]

"""The reader: fresh frames are offered, faults are announced, a lost camera is opened again."""

import threading
from typing import Any

import pytest

from edge.capture.camera import CameraRead
from edge.core.clock import Clock, StopEvent
from tests.edge.capture.conftest import ScriptedCamera, noise
from tests.edge.capture.reader_harness import MakeHarness, ReaderHarness, lost, seqs
from tests.support.clock import FakeClock, Patience
from tests.support.frames import solid
from tests.support.waiting import wait_until


def test_frames_are_numbered_and_timed(make_harness: MakeHarness, clock: FakeClock) -> None:
    """Frames carry the camera's id, a number that rises by one, and both clocks."""
    harness = make_harness()
    frames = harness.run(ScriptedCamera([noise(1), noise(2), lost()]))
    assert seqs(frames) == [1, 2, 3]
    assert frames[0].camera == "top"
    assert frames[0].captured_tick == 1000.0
    assert frames[0].captured_at == clock.now() - (clock.at - 1000.0)


def test_lost_camera_is_a_fault_and_is_opened_again(make_harness: MakeHarness) -> None:
    """A camera that raises becomes a frame with its reason, is closed, and is opened again."""
    harness = make_harness()
    first, second = ScriptedCamera([noise(1), lost()]), ScriptedCamera([noise(2), lost()])
    frames = harness.run(first, second)
    assert [frame.fault is None for frame in frames] == [True, False, True, False]
    assert frames[1].pixels is None
    assert "check the cable" in str(frames[1].fault)
    assert (first.closed, second.closed) == (1, 1)
    assert harness.reader.reconnects == 2
    assert seqs(frames) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "error", [RuntimeError("driver"), MemoryError(), ValueError("x"), OSError(5, "I/O error")]
)
def test_any_exception_of_a_driver_is_a_fault(
    make_harness: MakeHarness, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception of a driver is a fault, and the reader goes on."""
    harness = make_harness()
    frames = harness.run(ScriptedCamera([noise(1), error]), ScriptedCamera([noise(2), lost()]))
    assert [frame.fault is None for frame in frames] == [True, False, True, False]
    assert "unexpected fault in the camera's driver" in str(frames[1].fault)


def test_pauses_grow_to_half_a_minute_and_start_again(
    make_harness: MakeHarness, patience: Patience
) -> None:
    """Pauses double from 0.5 s to 30 s while a camera stays lost; one frame sets them back."""
    harness = make_harness()
    harness.run(*[lost() for _ in range(12)], ScriptedCamera([noise(1), lost()]))
    assert len(patience.waits) == 13
    limits = [min(0.5 * 2**n, 30.0) for n in range(12)] + [0.5]
    for waited, limit in zip(patience.waits, limits):
        assert limit / 2 <= waited <= limit


def test_hour_without_a_camera_costs_few_attempts(
    make_harness: MakeHarness, patience: Patience, clock: FakeClock
) -> None:
    """In an hour without a camera the reader tries at least every 30 s, and not 10,000 times."""
    harness = make_harness()
    start = clock.at
    patience.on_wait = lambda _number: patience.set() if clock.at - start > 3600 else None
    harness.run(*[lost() for _ in range(2000)])
    assert 120 <= harness.reader.reconnects <= 260


def test_each_lost_minute_is_announced(
    make_harness: MakeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failed attempt is a fault frame; the same reason is logged once."""
    harness = make_harness()
    frames = harness.run(lost(), lost(), lost())
    assert len(frames) == 3
    assert harness.reader.faults >= 3
    assert sum("delivers no picture" in record.message for record in caplog.records) == 1


def test_skipped_pictures_are_counted(make_harness: MakeHarness) -> None:
    """The frames that the camera process passed over are counted."""
    harness = make_harness()
    looks = [CameraRead(noise(n), passed_over=n) for n in range(4)]
    harness.run(ScriptedCamera([*looks, lost()]))
    assert harness.reader.passed_over == 6


def test_driver_in_its_own_process_holds_no_thread(environment: Clock, clock: FakeClock) -> None:
    """A camera in its own process is announced as silent, but never stops the watchdog."""
    stop = StopEvent()
    harness = ReaderHarness(environment, stop, "rtsp://cam", timeout_s=5)
    camera = HangingCamera()
    harness.cameras = [camera]
    thread = threading.Thread(target=harness.reader.run, name="camera")
    thread.start()
    assert camera.inside.wait(20)
    clock.at += 60
    assert harness.reader.stuck_s() == 0
    harness.reader.check()
    assert harness.reader.state == "silent"
    stop.set()
    camera.let_go.set()
    thread.join(20)
    assert not thread.is_alive()


def test_items_may_be_identical(make_harness: MakeHarness) -> None:
    """Identical pictures in a replay are separate parts, not a frozen camera."""
    harness = make_harness("replay:x")
    looks: list[Any] = [CameraRead(solid(9), f"{n}.png") for n in range(9)]
    frames = harness.run(ScriptedCamera([*looks, None], live=False))
    assert all(frame.fault is None for frame in frames)
    assert [frame.item for frame in frames] == [f"{n}.png" for n in range(9)]


def test_items_wait_for_their_turn(make_harness: MakeHarness) -> None:
    """Items, bad ones too, are put and never offered: nothing may replace them."""
    harness = make_harness("replay:x")
    harness.run(
        ScriptedCamera(
            [CameraRead(solid(1), "a"), CameraRead(None, "b", fault="bad"), None], live=False
        )
    )
    assert [frame.item for frame in harness.mailbox.put_frames] == ["a", "b"]
    assert harness.mailbox.offered == []
    assert harness.reader.faults == 1


def test_vanished_folder_replaces_no_item(make_harness: MakeHarness) -> None:
    """When a folder vanishes while an item waits, its fault waits behind the item."""
    harness = make_harness("folder:x")
    harness.run(ScriptedCamera([CameraRead(solid(1), "a", "r"), lost()], live=False))
    assert harness.mailbox.offered == []
    assert harness.mailbox.put_frames[0].item == "a"


def test_source_that_ends_is_finished(make_harness: MakeHarness) -> None:
    """A replay that has ended is finished and not opened again."""
    harness = make_harness("replay:x")
    harness.run(ScriptedCamera([CameraRead(solid(1), "a"), None], live=False))
    assert harness.reader.state == "finished"
    assert harness.reader.reconnects == 0


def test_stop_is_no_end_of_the_source(make_harness: MakeHarness, patience: Patience) -> None:
    """A stopped reader is `stopped`, not `finished`."""
    harness = make_harness("replay:x")
    patience.set()
    harness.run(ScriptedCamera([CameraRead(solid(1), "a"), None], live=False))
    assert harness.reader.state == "stopped"


class HangingCamera(ScriptedCamera):
    """A camera with a driver that hangs until the test releases it."""

    def __init__(self) -> None:
        super().__init__([])
        self.inside, self.let_go = threading.Event(), threading.Event()

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Hangs."""
        self.inside.set()
        assert self.let_go.wait(10)
        return CameraRead(noise(2))


def test_silent_camera_is_announced_from_outside(environment: Clock, clock: FakeClock) -> None:
    """A read that hangs longer than timeout_s is a fault, which the supervisor's check announces
    once. The late frame is rejected, since its age is not known."""
    stop = StopEvent()
    harness = ReaderHarness(environment, stop, "test:", timeout_s=5)
    camera = HangingCamera()
    harness.cameras = [camera]
    thread = threading.Thread(target=harness.reader.run, name="camera")
    thread.start()
    assert camera.inside.wait(10)
    clock.at += 4.9
    harness.reader.check()
    assert harness.mailbox.offered == []
    clock.at += 0.2
    harness.reader.check()
    harness.reader.check()
    assert harness.reader.state == "silent"
    assert [frame.fault for frame in harness.mailbox.offered] == [
        "no frame for 5.1 s (timeout_s is 5)"
    ]
    assert harness.reader.stuck_s() == pytest.approx(5.1)
    camera.let_go.set()
    wait_until(lambda: len(harness.mailbox.offered) >= 2)
    assert harness.mailbox.offered[1].pixels is None
    assert "its age is not known" in str(harness.mailbox.offered[1].fault)
    counts = harness.reader.distrusted
    assert (counts["silent"], counts["stale"]) == (1, 1)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_folder_may_be_silent_for_ever(make_harness: MakeHarness, clock: FakeClock) -> None:
    """A folder without new files is no fault."""
    harness = make_harness("folder:x")
    harness.reader.state = "live"
    clock.at += 86400
    harness.reader.check()
    assert harness.mailbox.offered == []
    assert harness.reader.stuck_s() == 0


def test_age_of_the_last_frame(make_harness: MakeHarness, clock: FakeClock) -> None:
    """The age of the last frame is None before the first and grows with the clock."""
    harness = make_harness("replay:x")
    assert harness.reader.last_frame_age_s() is None
    harness.run(ScriptedCamera([CameraRead(solid(1), "a"), None], live=False))
    clock.at += 7
    assert harness.reader.last_frame_age_s() == pytest.approx(7)


def test_pictures_that_do_not_fit_the_view_are_a_fault(
    environment: Clock, patience: Patience
) -> None:
    """A size that does not fit the view makes the camera `unfit`; it is checked once for each
    size. With a size that fits the camera is live again."""
    asked: list[tuple[int, int]] = []

    def size_error(width: int, height: int) -> str | None:
        asked.append((width, height))
        return "view.region is outside" if width < 32 else None

    make_harness = ReaderHarness(environment, patience, "test:", size_error=size_error)
    states: list[str] = []

    def watched(seed: int, side: int) -> CameraRead:
        return CameraRead(noise(seed, side))

    script = ScriptedCamera([watched(1, 16), watched(2, 16), watched(3, 48)])
    read = script.read

    def reading(stop: StopEvent) -> CameraRead | None:
        states.append(make_harness.reader.state)
        return read(stop)

    script.read = reading  # type: ignore[method-assign]
    make_harness.run(script)
    faults = [f.fault for f in make_harness.mailbox.offered[:3]]
    assert faults == ["view.region is outside", "view.region is outside", None]
    assert make_harness.mailbox.offered[0].pixels is None
    assert asked == [(16, 16), (48, 48)]
    assert states == ["starting", "unfit", "unfit", "live"]

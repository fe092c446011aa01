"""One camera's thread: fresh frames in, faults announced, opened again with growing pauses."""

import threading
from typing import Any

import pytest

from edge.capture.camera import CameraRead
from edge.core.clock import Clock, StopEvent
from tests.edge.capture.conftest import ScriptedCamera, noise
from tests.edge.capture.reader_harness import Build, House, lost, seqs
from tests.support.clock import FakeClock, Patience
from tests.support.frames import solid
from tests.support.waiting import wait_until


def test_frames_are_numbered_and_timed(house: Build, clock: FakeClock) -> None:
    """Frames carry the camera's id, a number that rises by one, and both clocks."""
    home = house()
    frames = home.run(ScriptedCamera([noise(1), noise(2), lost()]))
    assert seqs(frames) == [1, 2, 3]
    assert frames[0].camera == "top"
    assert frames[0].captured_tick == 1000.0
    assert frames[0].captured_at == clock.now() - (clock.at - 1000.0)


def test_lost_camera_is_a_fault_and_is_opened_again(house: Build) -> None:
    """A camera that raises becomes a frame with its reason, is closed, and is opened again."""
    home = house()
    first, second = ScriptedCamera([noise(1), lost()]), ScriptedCamera([noise(2), lost()])
    frames = home.run(first, second)
    assert [frame.fault is None for frame in frames] == [True, False, True, False]
    assert frames[1].pixels is None
    assert "check the cable" in str(frames[1].fault)
    assert (first.closed, second.closed) == (1, 1)
    assert home.reader.reconnects == 2
    assert seqs(frames) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "error", [RuntimeError("driver"), MemoryError(), ValueError("x"), OSError(5, "I/O error")]
)
def test_whatever_a_driver_raises_is_a_fault(
    house: Build, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception from a driver is a fault too, and the reader lives on."""
    home = house()
    frames = home.run(ScriptedCamera([noise(1), error]), ScriptedCamera([noise(2), lost()]))
    assert [frame.fault is None for frame in frames] == [True, False, True, False]
    assert "unexpected fault in the camera's driver" in str(frames[1].fault)


def test_pauses_grow_to_half_a_minute_and_start_again(house: Build, patience: Patience) -> None:
    """Pauses double from 0.5 s to 30 s while a camera stays lost; one frame sets them back."""
    home = house()
    home.run(*[lost() for _ in range(12)], ScriptedCamera([noise(1), lost()]))
    assert len(patience.waits) == 13
    limits = [min(0.5 * 2**n, 30.0) for n in range(12)] + [0.5]
    for waited, limit in zip(patience.waits, limits):
        assert limit / 2 <= waited <= limit


def test_hour_without_a_camera_costs_few_attempts(
    house: Build, patience: Patience, clock: FakeClock
) -> None:
    """In an hour without a camera it is tried at least every 30 s, and not 10,000 times."""
    home = house()
    start = clock.at
    patience.on_wait = lambda _number: patience.set() if clock.at - start > 3600 else None
    home.run(*[lost() for _ in range(2000)])
    assert 120 <= home.reader.reconnects <= 260


def test_each_lost_minute_is_announced(house: Build, caplog: pytest.LogCaptureFixture) -> None:
    """Each failed attempt is a fault frame; the same reason is logged once."""
    home = house()
    frames = home.run(lost(), lost(), lost())
    assert len(frames) == 3
    assert home.reader.faults >= 3
    assert sum("delivers no picture" in record.message for record in caplog.records) == 1


def test_pictures_that_made_way_are_counted(house: Build) -> None:
    """What a camera's process passed over is known."""
    home = house()
    looks = [CameraRead(noise(n), passed_over=n) for n in range(4)]
    home.run(ScriptedCamera([*looks, lost()]))
    assert home.reader.passed_over == 6


def test_driver_in_its_own_process_holds_no_thread(environment: Clock, clock: FakeClock) -> None:
    """A camera in a process of its own is announced as silent, but never stops the watchdog."""
    stop = StopEvent()
    home = House(environment, stop, "rtsp://cam", timeout_s=5)
    camera = HangingCamera()
    home.cameras = [camera]
    thread = threading.Thread(target=home.reader.run, name="camera")
    thread.start()
    assert camera.inside.wait(20)
    clock.at += 60
    assert home.reader.stuck_s() == 0
    home.reader.check()
    assert home.reader.state == "silent"
    stop.set()
    camera.let_go.set()
    thread.join(20)
    assert not thread.is_alive()


def test_items_may_be_equal(house: Build) -> None:
    """Equal pictures in a replay are so many parts, not a frozen camera."""
    home = house("replay:x")
    looks: list[Any] = [CameraRead(solid(9), f"{n}.png") for n in range(9)]
    frames = home.run(ScriptedCamera([*looks, None], live=False))
    assert all(frame.fault is None for frame in frames)
    assert [frame.item for frame in frames] == [f"{n}.png" for n in range(9)]


def test_items_wait_for_their_turn(house: Build) -> None:
    """Items, bad ones too, are put and never offered: nothing may replace them."""
    home = house("replay:x")
    home.run(
        ScriptedCamera(
            [CameraRead(solid(1), "a"), CameraRead(None, "b", fault="bad"), None], live=False
        )
    )
    assert [frame.item for frame in home.mailbox.put_frames] == ["a", "b"]
    assert home.mailbox.offered == []
    assert home.reader.faults == 1


def test_vanished_folder_replaces_no_item(house: Build) -> None:
    """When a folder goes while an item waits, its fault waits behind the item."""
    home = house("folder:x")
    home.run(ScriptedCamera([CameraRead(solid(1), "a", "r"), lost()], live=False))
    assert home.mailbox.offered == []
    assert home.mailbox.put_frames[0].item == "a"


def test_source_that_ends_is_finished(house: Build) -> None:
    """A replay that has ended is finished and not opened again."""
    home = house("replay:x")
    home.run(ScriptedCamera([CameraRead(solid(1), "a"), None], live=False))
    assert home.reader.state == "finished"
    assert home.reader.reconnects == 0


def test_stop_is_no_end_of_the_source(house: Build, patience: Patience) -> None:
    """A reader that is stopped says so; it does not claim that the source has ended."""
    home = house("replay:x")
    patience.set()
    home.run(ScriptedCamera([CameraRead(solid(1), "a"), None], live=False))
    assert home.reader.state == "stopped"


class HangingCamera(ScriptedCamera):
    """A camera whose driver does not come back until the test lets it."""

    def __init__(self) -> None:
        super().__init__([])
        self.inside, self.let_go = threading.Event(), threading.Event()

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Hangs."""
        self.inside.set()
        assert self.let_go.wait(10)
        return CameraRead(noise(2))


def test_silent_camera_is_announced_from_outside(environment: Clock, clock: FakeClock) -> None:
    """A read that hangs longer than timeout_s is a fault that the supervisor's check announces
    once; the frame that comes in the end is not believed, since its age is not known."""
    stop = StopEvent()
    home = House(environment, stop, "test:", timeout_s=5)
    camera = HangingCamera()
    home.cameras = [camera]
    thread = threading.Thread(target=home.reader.run, name="camera")
    thread.start()
    assert camera.inside.wait(10)
    clock.at += 4.9
    home.reader.check()
    assert home.mailbox.offered == []
    clock.at += 0.2
    home.reader.check()
    home.reader.check()
    assert home.reader.state == "silent"
    assert [frame.fault for frame in home.mailbox.offered] == [
        "no frame for 5.1 s (timeout_s is 5)"
    ]
    assert home.reader.stuck_s() == pytest.approx(5.1)
    camera.let_go.set()
    wait_until(lambda: len(home.mailbox.offered) >= 2)
    assert home.mailbox.offered[1].pixels is None
    assert "its age is not known" in str(home.mailbox.offered[1].fault)
    counts = home.reader.distrusted
    assert (counts["silent"], counts["stale"]) == (1, 1)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_folder_may_be_silent_for_ever(house: Build, clock: FakeClock) -> None:
    """A folder into which nothing is dropped is no fault."""
    home = house("folder:x")
    home.reader.state = "live"
    clock.at += 86400
    home.reader.check()
    assert home.mailbox.offered == []
    assert home.reader.stuck_s() == 0


def test_age_of_the_last_frame(house: Build, clock: FakeClock) -> None:
    """The age of the last frame is None before the first and grows with the clock."""
    home = house("replay:x")
    assert home.reader.last_frame_age_s() is None
    home.run(ScriptedCamera([CameraRead(solid(1), "a"), None], live=False))
    clock.at += 7
    assert home.reader.last_frame_age_s() == pytest.approx(7)


def test_pictures_that_do_not_fit_the_view_are_a_fault(
    environment: Clock, patience: Patience
) -> None:
    """A size that the view does not fit makes the camera `unfit`, asked once a size; when the
    camera gives another size that fits, it is live again."""
    asked: list[tuple[int, int]] = []

    def size_error(width: int, height: int) -> str | None:
        asked.append((width, height))
        return "view.region is outside" if width < 32 else None

    house = House(environment, patience, "test:", size_error=size_error)
    states: list[str] = []

    def watched(seed: int, side: int) -> CameraRead:
        return CameraRead(noise(seed, side))

    script = ScriptedCamera([watched(1, 16), watched(2, 16), watched(3, 48)])
    read = script.read

    def reading(stop: StopEvent) -> CameraRead | None:
        states.append(house.reader.state)
        return read(stop)

    script.read = reading  # type: ignore[method-assign]
    house.run(script)
    faults = [f.fault for f in house.mailbox.offered[:3]]
    assert faults == ["view.region is outside", "view.region is outside", None]
    assert house.mailbox.offered[0].pixels is None
    assert asked == [(16, 16), (48, 48)]
    assert states == ["starting", "unfit", "unfit", "live"]


def test_what_a_retired_reader_brings_is_not_judged(house: Build) -> None:
    """Another reader has the camera's name."""
    home = house()
    home.reader.retire()
    assert home.run(ScriptedCamera([noise(1), lost()])) == []

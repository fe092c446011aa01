"""A camera in its own process: real processes, real shared memory, real faults."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest

from edge.capture.camera import CameraRead
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.frame_ring import SLOTS
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from tests.edge.capture.conftest import camera_config
from tests.edge.capture.faulty import number_of, numbered
from tests.support.waiting import wait_until

FAULTY = "tests.edge.capture.faulty"
Start = Callable[..., IsolatedCamera]


@pytest.fixture
def start(fork_server: ForkServerClient) -> Iterator[Start]:
    """`start("good,hang", timeout_s=1)`: a camera in a process that misbehaves in that way."""
    made: list[IsolatedCamera] = []

    def make(script: str, **options: Any) -> IsolatedCamera:
        options = {"timeout_s": 20, "open_timeout_s": 30, **options}
        config = camera_config(f"v4l2:{script}", **options)
        made.append(IsolatedCamera(config, Clock(), fork_server, FAULTY))
        return made[-1]

    yield make
    for camera in made:
        camera.close()
        assert not psutil.pid_exists(camera.pid)


def read(camera: IsolatedCamera) -> CameraRead:
    """One read, which must return."""
    look = camera.read(StopEvent())
    assert look is not None
    return look


def read_to_the_end(camera: IsolatedCamera) -> None:
    """Reads until CameraError; no script is longer than twenty steps."""
    for _ in range(20):
        camera.read(StopEvent())


def number(look: CameraRead) -> int:
    """The number in the picture of a read."""
    assert look.pixels is not None
    return number_of(look.pixels)


@pytest.mark.parametrize("step", ["good", "in-place"])
def test_pictures_arrive_whole_and_in_order(start: Start, step: str) -> None:
    """Every picture equals the driver's, pixel by pixel, and is newer than the one before. Skipped
    ones are counted."""
    camera = start(step, fps=500)
    looks = [read(camera) for _ in range(40)]
    count = 0
    for look in looks[: SLOTS - 2]:
        assert look.pixels is not None
    for look in looks:
        count += look.passed_over + 1
        assert number(look) == count
        np.testing.assert_array_equal(look.pixels, numbered(count))


def test_a_held_picture_is_never_overwritten(start: Start) -> None:
    """Held pictures keep their pixels, whatever their number, and reading goes on."""
    camera = start("good", fps=1000)
    held = [read(camera) for _ in range(3 * SLOTS)]
    numbers = [number(look) for look in held]
    for _ in range(3 * SLOTS):
        read(camera)
    for look, seen in zip(held, numbers):
        np.testing.assert_array_equal(look.pixels, numbered(seen))
    assert camera.copied > 0


def test_pictures_are_not_copied_while_slots_are_free(start: Start) -> None:
    """A picture is used where the child wrote it, without a copy, and is read only."""
    camera = start("good", fps=1000)
    for _ in range(5 * SLOTS):
        look = read(camera)
        assert look.pixels is not None
        assert not look.pixels.flags.owndata
        assert not look.pixels.flags.writeable
    assert camera.copied == 0


def test_a_view_keeps_its_slot(start: Start) -> None:
    """A view of a part keeps the whole slot, also after the picture is gone."""
    camera = start("good", fps=1000)
    look = read(camera)
    assert look.pixels is not None
    seen, part = number(look), look.pixels[::2, 3:, ::-1]
    del look
    for _ in range(4 * SLOTS):
        read(camera)
    np.testing.assert_array_equal(part, numbered(seen)[::2, 3:, ::-1])


def test_pictures_outlive_their_process(start: Start) -> None:
    """A picture may be judged after the camera is closed."""
    camera = start("good,good,good,crash")
    looks = [read(camera)]
    with pytest.raises(CameraError):
        looks.extend(iter(lambda: read(camera), None))
    camera.close()
    for look in looks:
        np.testing.assert_array_equal(look.pixels, numbered(number(look)))


@pytest.mark.parametrize(
    ("script", "words", "kind"),
    [
        ("good,good,good,crash", r"its driver crashed \(SIGSEGV\); it is started again", "lost"),
        ("good,good,good,exit", "its process ended with code 3; it is started again", "lost"),
        ("good,good,good,raise", "unexpected fault in the camera's driver", "lost"),
        ("good,good,good,lost", "faulty: lost; check the cable", "lost"),
        ("good,good,good,end", "the stream has ended", "lost"),
        ("good,good,good,size", "wrong size: pictures were 160×48, now 160×60", "wrong_size"),
        ("good,good,good,liar", "its process sent an invalid message .FrameReady", "lost"),
        ("good,good,good,noise", "its process sent an invalid message .no JSON", "lost"),
        ("good,good,good,untyped", "its process sent an invalid message .FrameReady with", "lost"),
        ("no-open", "faulty: cannot be opened; check the cable", "lost"),
        ("crash", r"its driver crashed \(SIGSEGV\)", "lost"),
    ],
)
def test_each_end_of_a_process_is_one_sentence(
    start: Start, script: str, words: str, kind: str
) -> None:
    """Each end of the process raises a CameraError with the reason, and the process is gone."""
    camera = start(script)
    with pytest.raises(CameraError, match=words) as caught:
        read_to_the_end(camera)
    assert caught.value.kind == kind
    with pytest.raises(CameraError):
        camera.read(StopEvent())


@pytest.mark.slow
@pytest.mark.parametrize("script", ["good,good,good,hang", "good,good,good,stop"])
def test_a_hung_driver_is_killed(start: Start, script: str) -> None:
    """A hung driver or a stopped process is silent after timeout_s and is killed."""
    camera = start(script, timeout_s=0.3)
    with pytest.raises(CameraError, match=r"no frame for 0\.3 s") as caught:
        read_to_the_end(camera)
    assert caught.value.kind == "silent"
    assert not psutil.pid_exists(camera.pid)


def test_an_opening_that_hangs_is_killed(start: Start) -> None:
    """A device that does not open is silent after open_timeout_s."""
    camera = start("hang-open", open_timeout_s=0.2)
    with pytest.raises(CameraError, match="open_timeout_s") as caught:
        camera.read(StopEvent())
    assert caught.value.kind == "silent"
    assert not psutil.pid_exists(camera.pid)


def test_damaged_pictures_are_faults_and_reading_goes_on(start: Start) -> None:
    """A picture that cannot be decoded is a fault with its reason; the next one is good."""
    camera = start("good,damaged,damaged,damaged,good", fps=200)
    looks = [read(camera) for _ in range(6)]
    faults = [look for look in looks if look.fault]
    assert faults
    assert all(look.fault_kind == "decode" and look.pixels is None for look in faults)
    assert "truncated" in str(faults[0].fault)
    assert looks[-1].pixels is not None


def test_capture_time_is_the_drivers(start: Start) -> None:
    """The driver's time stamp is kept; without one, the time of the grab counts."""
    late, plain = start("good,late"), start("in-place")
    taken = read(late).captured_tick
    assert taken is not None
    assert 59 < time.monotonic() - taken < 120
    before = time.monotonic()
    assert before <= (read(plain).captured_tick or 0) <= time.monotonic()


@pytest.mark.slow
def test_reading_ends_on_stop(start: Start) -> None:
    """On stop the read returns None, also while the driver hangs. Until then it sleeps without
    polling."""
    waits: list[float] = []
    hanging = threading.Event()

    class Recorded(StopEvent):
        def wait(self, seconds: float, file: int | None = None) -> bool:
            waits.append(seconds)
            if seconds > 100:  # no longer for its start, or for the first picture
                hanging.set()
            return super().wait(seconds, file)

    looks: list[CameraRead | None] = []
    stop = Recorded()
    camera = start("good,hang", timeout_s=600)
    reading = threading.Thread(target=lambda: looks.append(camera.read(stop)))
    reading.start()
    assert hanging.wait(60)
    stop.set()
    reading.join(60)
    assert looks == [None]
    assert min(waits) > 1
    camera.close()
    assert not psutil.pid_exists(camera.pid)


@pytest.mark.slow
def test_the_process_dies_with_the_daemon() -> None:
    """A killed daemon leaves no process, also when the driver hangs."""
    program = (
        "from edge.capture.isolation.forkserver_client import ForkServerClient\n"
        "from edge.capture.isolation.isolated_camera import IsolatedCamera\n"
        "from edge.config import CameraConfig\n"
        "from edge.core.clock import Clock, StopEvent\n"
        f"camera = IsolatedCamera(CameraConfig(id='top', source='v4l2:good,good,hang', fps=5), "
        f"Clock(), ForkServerClient(), {FAULTY!r})\n"
        "camera.read(StopEvent())\n"
        "print(camera.pid, flush=True)\n"
        "while True: camera.read(StopEvent())\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    pid = int(daemon.stdout.readline())
    assert psutil.pid_exists(pid)
    daemon.kill()
    daemon.wait(20)
    daemon.stdout.close()

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # no process reaps it here
        except psutil.NoSuchProcess:
            return True

    wait_until(gone)


@pytest.mark.slow
def test_ctrl_c_and_sigterm_are_for_the_daemon(start: Start) -> None:
    """The camera process ignores signals to the whole group: the daemon shuts it down in order."""
    camera = start("good", fps=200)
    read(camera)
    os.kill(camera.pid, signal.SIGTERM)
    os.kill(camera.pid, signal.SIGINT)
    for _ in range(5):
        assert read(camera).pixels is not None


@pytest.mark.slow
def test_restarts_leave_nothing_behind(start: Start) -> None:
    """Many ends leak no process, no file descriptor and no shared memory."""
    me = psutil.Process()

    def life(script: str) -> None:
        camera = start(script, timeout_s=0.2)
        with pytest.raises(CameraError) as raised:
            use(camera)
        camera.close()
        del raised  # and with it the picture that `use` held

    def use(camera: IsolatedCamera) -> None:
        held = camera.read(StopEvent())  # on a slow machine the end may come before the picture
        read_to_the_end(camera)
        del held

    def held_now() -> tuple[int, int, int]:
        gc.collect()  # so that garbage of other tests does not count here
        return me.num_fds(), len(me.children()), memory_maps()

    life("good,good,crash")
    before = held_now()
    for script in ("good,good,crash", "good,good,hang", "good,good,exit", "good,good,size") * 3:
        life(script)
    after = held_now()
    assert all(now <= then for now, then in zip(after, before)), (before, after)


def memory_maps() -> int:
    """The number of camera memories that this process has mapped."""
    with open("/proc/self/maps", encoding="utf-8") as file:  # noqa: PTH123  a file of the kernel
        return sum("memfd:camera" in line for line in file)

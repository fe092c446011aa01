"""A week of outage, in virtual time, is a handful of lines in the log."""

import io
import logging
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path

import pytest

from edge.capture.camera import Camera, CameraRead
from edge.capture.reader import Reader
from edge.config import CameraConfig
from edge.config.mqtt import SnapshotsConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from edge.core.logs import RateLimitedHandler
from edge.mqtt.failover import Backoff
from edge.mqtt.snapshots import SnapshotSender
from edge.pipeline.mailbox import Mailbox
from tests.edge.mqtt.virtual_time import PublisherSimulation
from tests.support.archives import archive
from tests.support.clock import FakeClock, Patience
from tests.support.fake_broker import FakeBroker, Greeting
from tests.support.frames import frame, noise_frame
from tests.support.snapshot_broker import SnapshotBroker
from tests.support.verdicts import verdict

pytestmark = pytest.mark.slow

WEEK_S = 7 * 86_400.0
HANDFUL = 20  # lines for a component that comes and goes; one that is away has one or two

Journal = Callable[[Callable[[], float]], io.StringIO]


@pytest.fixture
def journal() -> Iterator[Journal]:
    """`journal(tick)`: what the daemon's handler writes from here on."""
    root = logging.getLogger("edge")
    made: list[RateLimitedHandler] = []
    level = root.level

    def make(tick: Callable[[], float]) -> io.StringIO:
        text = io.StringIO()
        made.append(RateLimitedHandler(text, tick))
        root.addHandler(made[-1])
        root.setLevel("INFO")
        return text

    yield make
    for handler in made:
        root.removeHandler(handler)
    root.setLevel(level)


def lines(text: io.StringIO) -> list[str]:
    """What was written; a traceback counts with its first line."""
    return [line for line in text.getvalue().splitlines() if not line.startswith((" ", "Trac"))]


class ScriptedCamera(Camera):
    """A camera whose reads call a function."""

    live = True

    def __init__(self, read: Callable[[], CameraRead]) -> None:
        self._read = read

    def read(self, stop: StopEvent) -> CameraRead | None:
        """None after stop."""
        return None if stop.is_set() else self._read()

    def close(self) -> None:
        """Nothing to do."""


def watch(clock: FakeClock, opener: Callable[[], Camera]) -> Reader:
    """Reads a camera for a week, and checks for silence after each wait."""
    stop = Patience(clock, most=10**9)
    end = clock.at + WEEK_S
    reader_clock = Clock(clock.now, clock.tick)
    config = CameraConfig(id="top", source="v4l2:/dev/video0", settle_steady=False)
    reader = Reader(config, opener, Mailbox(), reader_clock, stop)

    def waited(_number: int) -> None:
        reader.check()
        if clock.at >= end:
            stop.set()

    stop.on_wait = waited
    reader.run()
    assert clock.at >= end
    return reader


def test_camera_that_is_away(journal: Journal, clock: FakeClock) -> None:
    """Lost for a week: few lines, whatever number its driver adds each time."""
    text, numbers = journal(clock.tick), count()

    def opener() -> Camera:
        raise CameraError(f"/dev/video0 is not there (process {next(numbers)})")

    reader = watch(clock, opener)
    assert reader.reconnects > 10_000
    assert 1 <= len(lines(text)) <= HANDFUL
    assert "were not logged" in lines(text)[-1]


def test_camera_whose_driver_raises(journal: Journal, clock: FakeClock) -> None:
    """A driver that raises for a week does not fill the disk with tracebacks."""
    text = journal(clock.tick)

    def opener() -> Camera:
        raise RuntimeError("driver")

    watch(clock, opener)
    assert 1 <= len(lines(text)) <= 2 * HANDFUL
    assert len(text.getvalue()) < 100_000


def test_camera_that_comes_and_goes(journal: Journal, clock: FakeClock) -> None:
    """One that delivers a picture and is lost, again and again."""
    text, pictures = journal(clock.tick), count()

    def opener() -> Camera:
        clock.at += 20.0
        shown = False

        def read() -> CameraRead:
            nonlocal shown
            if shown:
                raise CameraError("cable")
            shown = True
            return CameraRead(noise_frame(next(pictures), 16).pixels)

        return ScriptedCamera(read)

    reader = watch(clock, opener)
    assert reader.frames > 10_000
    assert 2 <= len(lines(text)) <= 2 * HANDFUL


def test_camera_that_brings_damaged_pictures(journal: Journal, clock: FakeClock) -> None:
    """Damaged pictures for a week: few lines, though the camera is opened again each time."""
    text, end = journal(clock.tick), clock.at + WEEK_S

    def read() -> CameraRead:
        clock.at += 30.0
        if clock.at >= end:
            raise CameraError("the end")
        return CameraRead(None, fault="damaged JPEG")

    reader = watch(clock, lambda: ScriptedCamera(read))
    assert reader.distrusted["decode"] > 10_000
    assert 1 <= len([line for line in lines(text) if "damaged" in line]) <= HANDFUL


@pytest.mark.parametrize(
    ("greetings", "max_lines"),
    [(["absent"], 3), (["absent", "refuse", "silent"], HANDFUL), (["accept"], 2 * HANDFUL)],
    ids=["away", "with changing faults", "hangs up at once"],
)
def test_broker(
    greetings: list[Greeting], max_lines: int, journal: Journal, tmp_path: Path
) -> None:
    """A broker that is away, that has one fault after another, or that cuts each connection."""
    broker = FakeBroker(greetings=iter(cycle(greetings)), step_s=5.0)
    simulation = PublisherSimulation(tmp_path, rows=1, broker=broker, backoff=Backoff(1.0, 60.0))
    simulation.may_send = False
    text, end = journal(lambda: broker.now), broker.now + WEEK_S

    def step() -> None:
        if greetings == ["accept"]:
            broker.cut()
        if broker.now >= end:
            simulation.close()

    broker.on_step = step
    simulation.play()
    simulation.end()
    assert broker.connections > 1000
    assert 1 <= len(lines(text)) <= max_lines


def test_pictures_without_a_broker(journal: Journal, clock: FakeClock, tmp_path: Path) -> None:
    """A picture every 20 s, and no broker."""
    text = journal(clock.tick)
    broker = SnapshotBroker("absent")
    pictures = SnapshotSender(
        SnapshotsConfig(send=("fail",)),
        "inspection/line1",
        Clock(clock.now, clock.tick, tmp_path),
        broker.connect,
    )
    for _ in range(int(WEEK_S / 20)):
        clock.at += 20.0
        pictures.offer(frame(9), verdict("fail"))
        pictures.run_once()
    assert pictures.skipped["offline"] > 10_000
    assert 1 <= len(lines(text)) <= 2 * HANDFUL


def test_archive_on_a_full_disk(journal: Journal, clock: FakeClock, tmp_path: Path) -> None:
    """An archive whose folder cannot be made: one line, and a counter."""
    text = journal(clock.tick)
    (tmp_path / "file").write_text("in the way")
    kept = archive(tmp_path / "file/archive")
    kept.close()
    for _ in range(1000):
        clock.at += WEEK_S / 1000
        kept.keep([frame()], verdict("fail"))
        kept.run()
    assert kept.counts.skipped == 1000
    assert len(lines(text)) == 1

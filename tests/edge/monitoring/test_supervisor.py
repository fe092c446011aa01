"""The watchdog is fed by progress, readiness is told once, health is published on time."""

import json

import pytest

from edge.core.clock import Clock
from edge.core.systemd import SystemdNotifier
from edge.monitoring.progress import Progress
from edge.monitoring.supervisor import Supervisor
from tests.support.clock import FakeClock, Patience
from tests.support.healthy_components import HealthyComponents


class Recorder(SystemdNotifier):
    """A notifier that remembers, under systemd's watchdog of 40 s."""

    def __init__(self) -> None:
        super().__init__({"WATCHDOG_USEC": "40000000"})
        self.said: list[str] = []

    def _send(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def notifier() -> Recorder:
    """What systemd would have heard."""
    return Recorder()


@pytest.fixture
def progress() -> Progress:
    """What the supervisor reports."""
    return Progress()


@pytest.fixture
def supervisor(
    house: HealthyComponents, notifier: Recorder, environment: Clock, progress: Progress
) -> Supervisor:
    """A supervisor that publishes every 10 s."""
    return Supervisor(house.components, house.health, notifier, environment, 10, progress=progress)


def test_ready_once_every_camera_has_started(
    supervisor: Supervisor, house: HealthyComponents, notifier: Recorder
) -> None:
    """READY is sent once, when no camera is starting any more: a lost one does not hold it up."""
    house.reader.state = "starting"
    supervisor.run_once()
    assert "READY=1" not in notifier.said
    assert notifier.said.count("EXTEND_TIMEOUT_USEC=60000000") == 1  # systemd must not give up yet
    house.reader.state = "lost"
    supervisor.run_once()
    supervisor.run_once()
    assert notifier.said.count("READY=1") == 1
    assert notifier.said.count("EXTEND_TIMEOUT_USEC=60000000") == 1
    assert house.reader.checked == 3


def test_ready_is_said_soon(
    supervisor: Supervisor, house: HealthyComponents, clock: FakeClock
) -> None:
    """At most a tenth later than the last camera came, and nobody is woken often for one that
    does not come; once a second from then on."""
    house.reader.state = "starting"
    begun, looks = clock.at, 0
    while clock.at < begun + 60:
        assert supervisor.pause_s() <= max(0.005, 0.1 * (clock.at - begun) + 1e-9)
        clock.at += supervisor.pause_s()
        supervisor.run_once()
        looks += 1
    assert 60 < looks < 120
    house.reader.state = "live"
    supervisor.run_once()
    assert supervisor.pause_s() == 1.0


@pytest.mark.parametrize("part", ["judging", "writer", "publisher"])
def test_watchdog_starves_when_a_part_stands(
    part: str,
    *,
    supervisor: Supervisor,
    house: HealthyComponents,
    notifier: Recorder,
    clock: FakeClock,
    progress: Progress,
) -> None:
    """A part without progress for half of systemd's limit stops the feeding, and is named."""
    clock.at += 21
    for name in {"judging", "writer", "publisher"} - {part}:
        getattr(house, name).beat = clock.at
    supervisor.run_once()
    assert "WATCHDOG=1" not in notifier.said
    assert not progress.alive(), "the output `alive` stops its beat too"
    word = {"judging": "inspection", "writer": "outbox", "publisher": "delivery"}[part]
    assert supervisor.stalled() == f"{word} for 21 s"
    getattr(house, part).beat = clock.at
    supervisor.run_once()
    assert "WATCHDOG=1" in notifier.said
    assert progress.alive()


def test_a_short_watchdog_does_not_starve_by_idling(
    house: HealthyComponents, environment: Clock, clock: FakeClock
) -> None:
    """Who waits for work shows progress every 5 s: also under a WatchdogSec of 8 that is no stall,
    and more than 10 s are."""
    notifier = SystemdNotifier({"WATCHDOG_USEC": "8000000"})
    supervisor = Supervisor(house.components, house.health, notifier, environment, 10)
    clock.at += 6
    assert supervisor.stalled() == ""
    clock.at += 5
    assert "outbox for 11 s" in supervisor.stalled()


def test_camera_that_hangs_starves_the_watchdog(
    supervisor: Supervisor, house: HealthyComponents, notifier: Recorder
) -> None:
    """A driver that does not come back for long is mended by a restart of the process."""
    house.reader.stuck = 25.0
    supervisor.run_once()
    assert "WATCHDOG=1" not in notifier.said


def test_health_is_published_on_time(
    supervisor: Supervisor, house: HealthyComponents, clock: FakeClock
) -> None:
    """Health is published at the start and then every interval, not more often."""
    for _ in range(25):
        supervisor.run_once()
        clock.at += 1
        house.judging.beat = house.writer.beat = house.publisher.beat = clock.at
    assert [name for name, _ in house.announced] == ["health"] * 3
    assert json.loads(house.announced[0][1])["schema"] == "edge-inspect/health/1"


def test_one_failed_look_is_not_the_last(
    supervisor: Supervisor,
    house: HealthyComponents,
    patience: Patience,
    notifier: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An unexpected fault in one look is logged, and the next look comes."""

    def fail() -> None:
        house.reader.check = lambda: None
        raise RuntimeError("driver")

    house.reader.check = fail
    patience.on_wait = lambda number: patience.set() if number == 4 else None
    supervisor.run(patience)
    assert "supervisor: unexpected fault" in caplog.text
    assert "READY=1" in notifier.said

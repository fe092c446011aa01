"""The supervisor feeds the watchdog by progress, sends READY once and publishes health."""

import ast
import json
import threading
from pathlib import Path

import pytest

from edge.core.clock import Clock
from edge.core.systemd import SystemdNotifier
from edge.monitoring.faults import THREADS
from edge.monitoring.supervisor import Progress, Supervisor
from tests.support.clock import FakeClock, Patience
from tests.support.healthy_components import HealthyComponents

ROOT = Path(__file__).parents[3]
STARTS = ("start_thread", "NamedThread")


class Recorder(SystemdNotifier):
    """A notifier that records its messages, with a watchdog of 40 s."""

    def __init__(self) -> None:
        super().__init__({"WATCHDOG_USEC": "40000000"})
        self.sent: list[str] = []

    def _send(self, message: str) -> None:
        self.sent.append(message)


@pytest.fixture
def notifier() -> Recorder:
    """Records what systemd would receive."""
    return Recorder()


@pytest.fixture
def progress() -> Progress:
    """Gets what the supervisor reports."""
    return Progress()


@pytest.fixture
def supervisor(
    box: HealthyComponents, notifier: Recorder, environment: Clock, progress: Progress
) -> Supervisor:
    """A supervisor that publishes every 10 s."""
    return Supervisor(box.components, box.health, notifier, environment, 10, progress=progress)


def test_ready_once_every_camera_has_started(
    supervisor: Supervisor, box: HealthyComponents, notifier: Recorder
) -> None:
    """READY is sent once, when no camera is starting; a lost camera does not delay it."""
    box.reader.state = "starting"
    supervisor.run_once()
    assert "READY=1" not in notifier.sent
    assert notifier.sent.count("EXTEND_TIMEOUT_USEC=60000000") == 1  # systemd must not give up yet
    box.reader.state = "lost"
    supervisor.run_once()
    supervisor.run_once()
    assert notifier.sent.count("READY=1") == 1
    assert notifier.sent.count("EXTEND_TIMEOUT_USEC=60000000") == 1
    assert box.reader.checked == 3


def test_ready_is_early(supervisor: Supervisor, box: HealthyComponents, clock: FakeClock) -> None:
    """READY is late by at most a tenth of the start-up time. The intervals grow while a camera does
    not start, and are one second after READY."""
    box.reader.state = "starting"
    begun, looks = clock.at, 0
    while clock.at < begun + 60:
        assert supervisor.pause_s() <= max(0.005, 0.1 * (clock.at - begun) + 1e-9)
        clock.at += supervisor.pause_s()
        supervisor.run_once()
        looks += 1
    assert 60 < looks < 120
    box.reader.state = "live"
    supervisor.run_once()
    assert supervisor.pause_s() == 1.0


@pytest.mark.parametrize("component", ["workers", "writer", "publisher"])
def test_a_stalled_component_stops_the_watchdog(
    component: str,
    *,
    supervisor: Supervisor,
    box: HealthyComponents,
    notifier: Recorder,
    clock: FakeClock,
    progress: Progress,
) -> None:
    """A component without progress for half of systemd's limit is named, and the watchdog is not
    fed."""
    clock.at += 21
    for name in {"workers", "writer", "publisher"} - {component}:
        getattr(box, name).beat = clock.at
    supervisor.run_once()
    assert "WATCHDOG=1" not in notifier.sent
    assert not progress.alive(), "the output `alive` stops its beat too"
    word = {"workers": "inspection", "writer": "outbox", "publisher": "delivery"}[component]
    assert supervisor.stalled() == f"{word} for 21 s"
    getattr(box, component).beat = clock.at
    supervisor.run_once()
    assert "WATCHDOG=1" in notifier.sent
    assert progress.alive()


@pytest.mark.parametrize("vital", [True, False])
def test_an_ended_thread_is_noticed_at_the_next_look(
    supervisor: Supervisor,
    box: HealthyComponents,
    notifier: Recorder,
    clock: FakeClock,
    *,
    vital: bool,
) -> None:
    """`health` names it at once, not after its interval. A vital one starves the watchdog."""
    supervisor.run_once()
    fed, announced = notifier.sent.count("WATCHDOG=1"), len(box.announced)
    thread = threading.Thread(target=lambda: None, name="archive")
    thread.start()
    thread.join()
    box.threads.add(thread, vital=vital)
    clock.at += 1
    supervisor.run_once()
    faults = json.loads(box.announced[announced][1])["faults"]
    assert faults[0].startswith("thread archive: has ended without being asked; pictures are not")
    assert (notifier.sent.count("WATCHDOG=1") == fed) is vital
    assert supervisor.stalled() == ("thread archive" if vital else "")
    supervisor.run_once()
    assert len(box.announced) == announced + 1


@pytest.mark.slow
def test_each_thread_s_end_has_a_meaning() -> None:
    """Every name in the code that a thread is started with has its sentence for `health`."""
    names = set()
    for path in (ROOT / "edge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in STARTS and node.args:
                names.add(ast.unparse(node.args[0]).strip("'\"f"))
    assert {"signals", "supervisor", "web", "camera-{config.id}"} <= names
    named = {"name": ["outbox", "publisher", "pictures", "inspection", "inspection-2"]}
    for name in sorted(names):
        for each in named.get(name, [name]):
            assert any(each.startswith(known) for known in THREADS), each


def test_a_short_watchdog_does_not_starve_by_idling(
    box: HealthyComponents, environment: Clock, clock: FakeClock
) -> None:
    """An idle thread shows progress every 5 s. That is no stall under a WatchdogSec of 8, and more
    than 10 s is one."""
    notifier = SystemdNotifier({"WATCHDOG_USEC": "8000000"})
    supervisor = Supervisor(box.components, box.health, notifier, environment, 10)
    clock.at += 6
    assert supervisor.stalled() == ""
    clock.at += 5
    assert "outbox for 11 s" in supervisor.stalled()


def test_a_hanging_camera_stops_the_watchdog(
    supervisor: Supervisor, box: HealthyComponents, notifier: Recorder
) -> None:
    """A driver that hangs for long needs a restart of the process."""
    box.reader.stuck = 25.0
    supervisor.run_once()
    assert "WATCHDOG=1" not in notifier.sent


def test_health_is_published_on_time(
    supervisor: Supervisor, box: HealthyComponents, clock: FakeClock
) -> None:
    """Health is published at the start and then every interval, not more often."""
    for _ in range(25):
        supervisor.run_once()
        clock.at += 1
        box.workers.beat = box.writer.beat = box.publisher.beat = clock.at
    assert [name for name, _ in box.announced] == ["health"] * 3
    assert json.loads(box.announced[0][1])["schema"] == "edge-inspect/health/1"


def test_one_failed_look_is_not_the_last(
    supervisor: Supervisor,
    box: HealthyComponents,
    patience: Patience,
    notifier: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An unexpected fault in one look is logged, and the next look comes."""

    def fail() -> None:
        box.reader.check = lambda: None
        raise RuntimeError("driver")

    box.reader.check = fail
    patience.on_wait = lambda number: patience.set() if number == 4 else None
    supervisor.run(patience)
    assert "supervisor: unexpected fault" in caplog.text
    assert "READY=1" in notifier.sent

"""The messages to systemd, on a real NOTIFY_SOCKET."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edge.core.clock import Clock, StopEvent
from edge.core.frame import Frame
from edge.core.systemd import SystemdNotifier
from edge.core.threads import ThreadWatch
from edge.monitoring.health import Health, HealthReport
from edge.monitoring.health_body import Components
from edge.monitoring.supervisor import Supervisor
from edge.pipeline.frame_inspector import FrameResult
from edge.pipeline.judge import Judge
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.worker import InspectionWorker
from edge.pipeline.worker_pool import WorkerPool
from tests.support.plant import DEADLINE_S, Plant, draw_many
from tests.support.scripted_model import Sink
from tests.support.verdicts import a_verdict
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon


class Systemd:
    """The receiving end of the sd_notify protocol."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._received: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def received(self) -> list[str]:
        """The names of all messages so far."""
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except BlockingIOError:
                return list(self._received)
            self._received.append(text.partition("=")[0])

    def forget(self) -> None:
        """Discards the messages until now."""
        self.received()
        self._received.clear()

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """A socket as systemd would give it."""
    running = Systemd(tmp_path / "notify")
    yield running
    running.close()


@pytest.mark.broker
def test_a_life_in_notifications(
    make_daemon: MakeDaemon, plant: Plant, systemd: Systemd, tmp_path: Path
) -> None:
    """READY once when the cameras have started, WATCHDOG while it works, STOPPING at a stop."""
    draw_many(tmp_path / "parts", 50)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=20, loop=100)
    daemon.start(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC="60000000")
    plant.wait_for_results(1)
    wait_until(lambda: systemd.received().count("WATCHDOG") >= 3, "the watchdog fed")
    wait_until(lambda: "STATUS" in systemd.received(), "a status line")
    assert "STOPPING" not in systemd.received()
    assert daemon.stop() == 0
    received = systemd.received()
    assert received.count("READY") == 1
    assert received.count("STOPPING") == 1
    assert received.index("READY") < received.index("STOPPING")


@pytest.mark.broker
def test_a_camera_that_is_not_there_does_not_hold_up_ready(
    make_daemon: MakeDaemon, plant: Plant, systemd: Systemd
) -> None:
    """A lost camera is a fault in health; systemd must not restart the daemon for it."""
    daemon = make_daemon("v4l2:/dev/video99")
    daemon.start(NOTIFY_SOCKET=systemd.address)
    plant.wait_for_results(1)
    wait_until(lambda: "READY" in systemd.received() and "WATCHDOG" in systemd.received(), "READY")
    assert daemon.stop() == 0


class AlwaysProgressing:
    """A writer or publisher that makes progress."""

    def __init__(self, tick: Callable[[], float]) -> None:
        self._tick = tick

    @property
    def beat(self) -> float:
        """The present time."""
        return self._tick()

    def announce(self, name: str, body: bytes) -> None:
        """Does nothing."""


class EmptyHealth:
    """A health without content."""

    def sample(self) -> None: ...

    def summary(self) -> str:
        return ""

    def report(self) -> HealthReport:
        return HealthReport(cast(Any, {}), (), "")


def test_a_stuck_inspection_stops_the_watchdog(systemd: Systemd) -> None:
    """While the model hangs on a frame the watchdog is not fed; afterwards it is fed again."""
    now = 1000.0
    clock = Clock(tick=lambda: now)
    stuck, entered = threading.Event(), threading.Event()

    def hanging_inspect(frame: Frame) -> FrameResult:
        entered.set()
        assert stuck.wait(DEADLINE_S)
        return FrameResult(frame, 2, 2)

    judge = cast(Judge, SimpleNamespace(inspect=hanging_inspect, conclude=lambda *_: [a_verdict()]))
    worker = InspectionWorker(Mailbox(), Judges(judge), Sink(), clock)
    workers, mailbox = WorkerPool(1, lambda _others: worker), worker.mailbox
    beating = cast(Any, AlwaysProgressing(clock.tick))
    components = cast(
        Components,
        SimpleNamespace(
            readers={}, workers=workers, writer=beating, publisher=beating, threads=ThreadWatch()
        ),
    )
    notifier = SystemdNotifier({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000000"})
    supervisor = Supervisor(components, cast(Health, EmptyHealth()), notifier, clock, 1e9)
    workers.start()
    supervisor.run_once()
    assert "WATCHDOG" in systemd.received()

    mailbox.put(Frame("top", 1, np.zeros((2, 2, 3), np.uint8), 0.0, now), StopEvent())
    assert entered.wait(DEADLINE_S)
    now += 15.0
    systemd.forget()
    supervisor.run_once()
    assert "inspection" in supervisor.stalled()
    assert "WATCHDOG" not in systemd.received()

    stuck.set()
    wait_until(lambda: not supervisor.stalled(), "inspection moves again")
    supervisor.run_once()
    assert "WATCHDOG" in systemd.received()
    workers.close()
    assert workers.join(DEADLINE_S) == []

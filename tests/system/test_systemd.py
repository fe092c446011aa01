"""What systemd hears, on a real NOTIFY_SOCKET, and when it must hear nothing."""

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
from edge.core.percentiles import Latencies
from edge.core.systemd import SystemdNotifier
from edge.monitoring.components import Components
from edge.monitoring.health import Health, HealthReport
from edge.monitoring.supervisor import Supervisor
from edge.pipeline.frame_inspector import FrameResult
from edge.pipeline.judge import Judge
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
        self._heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """The names of all messages so far."""
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except BlockingIOError:
                return list(self._heard)
            self._heard.append(text.partition("=")[0])

    def forget(self) -> None:
        """Starts listening afresh."""
        self.heard()
        self._heard.clear()

    def close(self) -> None:
        """Away."""
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
    """READY once when the cameras are up, WATCHDOG while it works, STOPPING when asked to stop."""
    draw_many(tmp_path / "parts", 50)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=20, loop=100)
    daemon.start(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC="60000000")
    plant.wait_for_results(1)
    wait_until(lambda: systemd.heard().count("WATCHDOG") >= 3, "the watchdog fed")
    wait_until(lambda: "STATUS" in systemd.heard(), "a status line")
    assert "STOPPING" not in systemd.heard()
    assert daemon.stop() == 0
    heard = systemd.heard()
    assert heard.count("READY") == 1
    assert heard.count("STOPPING") == 1
    assert heard.index("READY") < heard.index("STOPPING")


@pytest.mark.broker
def test_a_camera_that_is_not_there_does_not_hold_up_ready(
    make_daemon: MakeDaemon, plant: Plant, systemd: Systemd
) -> None:
    """A lost camera is a fault on health; systemd must not restart the daemon for it."""
    daemon = make_daemon("v4l2:/dev/video99")
    daemon.start(NOTIFY_SOCKET=systemd.address)
    plant.wait_for_results(1)
    wait_until(lambda: "READY" in systemd.heard() and "WATCHDOG" in systemd.heard(), "READY")
    assert daemon.stop() == 0


class Beating:
    """A writer or publisher that makes progress, as its beat says."""

    def __init__(self, tick: Callable[[], float]) -> None:
        self._tick = tick

    @property
    def beat(self) -> float:
        """Now."""
        return self._tick()

    def announce(self, name: str, body: bytes) -> None:
        """Nobody listens."""


class Silent:
    """A health that has nothing to say."""

    def sample(self) -> None: ...

    def summary(self) -> str:
        return ""

    def report(self) -> HealthReport:
        return HealthReport(cast(Any, {}), (), "")


def test_a_stuck_inspection_starves_the_watchdog(systemd: Systemd) -> None:
    """While the model hangs on a frame the watchdog is not fed; when it returns, it is again."""
    now = 1000.0
    environment = Clock(tick=lambda: now)
    stuck, entered = threading.Event(), threading.Event()

    def hanging_inspect(frame: Frame) -> FrameResult:
        entered.set()
        assert stuck.wait(DEADLINE_S)
        return FrameResult(frame, 2, 2)

    judge = cast(Judge, SimpleNamespace(inspect=hanging_inspect, conclude=lambda *_: [a_verdict()]))
    worker = InspectionWorker(Mailbox(), judge, Sink(), environment)
    workers, mailbox = WorkerPool(1, lambda _others: worker), worker.mailbox
    beating = cast(Any, Beating(environment.tick))
    components = Components({}, workers, Latencies(), beating, beating)
    notifier = SystemdNotifier({"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000000"})
    supervisor = Supervisor(components, cast(Health, Silent()), notifier, environment, 1e9)
    workers.start()
    supervisor.run_once()
    assert "WATCHDOG" in systemd.heard()

    mailbox.put(Frame("top", 1, np.zeros((2, 2, 3), np.uint8), 0.0, now), StopEvent())
    assert entered.wait(DEADLINE_S)
    now += 15.0
    systemd.forget()
    supervisor.run_once()
    assert "inspection" in supervisor.stalled()
    assert "WATCHDOG" not in systemd.heard()

    stuck.set()
    wait_until(lambda: not supervisor.stalled(), "inspection moves again")
    supervisor.run_once()
    assert "WATCHDOG" in systemd.heard()
    workers.close()
    assert workers.join(DEADLINE_S) == []

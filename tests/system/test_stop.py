"""How the daemon ends."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.plant import BASE, Plant, draw_many
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains_in_the_direction_of_the_data(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path, number: signal.Signals
) -> None:
    """After SIGTERM or SIGINT no new picture is taken. All verdicts are stored, sent and
    acknowledged, then `stopped` is published, exit code 0."""
    draw_many(tmp_path / "parts", 1000)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=200)
    daemon.start()
    plant.wait_for_results(20)
    assert daemon.process is not None
    daemon.process.send_signal(number)
    assert daemon.exit_code() == 0
    plant.wait_for_state("online", "stopped")
    stored = daemon.last_seq()
    assert stored < 1000
    assert sorted(plant.results()) == list(range(1, stored + 1))
    assert daemon.waiting() == 0
    assert daemon.acknowledged() == stored
    topic, body, _ = plant.messages[-1]
    assert (topic, body["state"], body["reason"]) == (
        f"{BASE}/status",
        "stopped",
        "stopped by request",
    )
    order = ["stopping:", "stopped:"]
    assert [daemon.log.index(text) for text in order] == sorted(map(daemon.log.index, order))


def test_a_second_signal_ends_at_once(
    make_daemon: MakeDaemon, plant: Plant, broker: Mosquitto, tmp_path: Path
) -> None:
    """While a broker that hangs delays the drain, a second SIGTERM ends at once and is logged."""
    draw_many(tmp_path / "parts", 1000)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=200)
    daemon.start()
    plant.wait_for_results(5)
    broker.freeze()
    stored = daemon.last_seq()
    wait_until(lambda: daemon.last_seq() > stored + 30, "verdicts without acknowledgement")
    daemon.terminate()
    daemon.wait_for_log("stopping:")
    first = time.monotonic()
    wait_until(lambda: time.monotonic() - first > 0.6, "more than one wish")
    daemon.terminate()
    start = time.monotonic()
    assert daemon.exit_code() == 1
    assert time.monotonic() - start < 3
    assert "second SIGTERM: exit at once" in daemon.log
    assert daemon.waiting() > 0


def test_a_burst_of_signals_counts_once(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """A shell that signals process and group counts once: the drain is not cut short."""
    draw_many(tmp_path / "parts", 500)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=200)
    daemon.start()
    plant.wait_for_results(5)
    assert daemon.process is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        os.kill(daemon.process.pid, number)
    assert daemon.exit_code() == 0
    assert "exit at once" not in daemon.log
    plant.wait_for_state("online", "stopped")


def test_a_stop_without_a_broker_keeps_everything(
    make_daemon: MakeDaemon, broker: Mosquitto, tmp_path: Path
) -> None:
    """Without a broker the daemon stops at once with 0, and logs how many verdicts wait."""
    draw_many(tmp_path / "parts", 7)
    broker.kill()
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}")
    daemon.start()
    daemon.wait_for_waiting(7)
    assert daemon.stop() == 0
    assert "7 wait in the outbox" in daemon.log
    assert daemon.waiting() == 7

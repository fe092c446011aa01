"""A reload of which one step fails changes nothing, and a stop does not wait for a long reload."""

import signal
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.campaigns import reload_faults
from tests.support.plant import Plant, draw_many
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker

SLOW_MODEL = """
import runpy, sys, time
import edge.reload
load = edge.reload.build_inspector
def slow(*arguments):
    sys.stderr.write("the model loads\\n")
    time.sleep(60)
    return load(*arguments)
edge.reload.build_inspector = slow
sys.argv = ["edge", "run", "-c", sys.argv[1]]
runpy.run_module("edge", run_name="__main__")
"""


def test_a_reload_is_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight steps of a reload fail, one after the other, in the running daemon; see the campaign,
    whose long form makes every step fail."""
    monkeypatch.setattr(reload_faults, "MINUTE_S", 0.0)
    monkeypatch.setattr(sys, "argv", ["reload_faults", "--count", "8"])
    assert reload_faults.main() == 0


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_does_not_wait_for_a_reload(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path, stop: signal.Signals
) -> None:
    """A reload loads a model for a minute when the daemon is asked to stop: it ends at once, with
    exit code 0, and every verdict was sent."""
    draw_many(tmp_path / "parts", 50)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=50, loop=1000)
    script = tmp_path / "slow.py"
    script.write_text(SLOW_MODEL, encoding="utf-8")
    daemon.start_script(script)
    plant.wait_for_results(10)
    values = yaml.safe_load(daemon.config.read_text(encoding="utf-8"))
    values["decision"]["reject_at"] = 0.77
    daemon.config.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for_log("the model loads")
    asked = time.monotonic()
    daemon.process.send_signal(stop)
    assert daemon.exit_code() == 0
    assert time.monotonic() - asked < 30
    stored = daemon.last_seq()
    results = plant.wait_for_results(stored)
    assert set(results) == set(range(1, stored + 1))
    assert len({body["config"] for body in results.values()}) == 1
    plant.wait_for_state("online", "stopped")

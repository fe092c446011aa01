"""The daemon is light: it loads what its configuration uses, and never TensorFlow."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.plant import Plant, draw_many
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker

NEVER = {"tensorflow", "keras", "trainer", "converter", "torch", "pandas", "matplotlib", "scipy"}
UNUSED = {
    *(f"edge.capture.sources.{name}" for name in ("folder", "inotify", "replay")),
    *(f"edge.capture.drivers.{name}" for name in ("mjpeg", "v4l2", "rtsp", "pylon", "registry")),
    *(f"edge.capture.isolation.{name}" for name in ("isolated_camera", "child", "forkserver")),
    *("edge.mqtt.embedded_broker", "gpiozero", "numpy.ma", "subprocess"),
    *("edge.web.api", "edge.web.server", "edge.web.serving"),
}
WHEN_USED = {"amqtt", "waitress", "werkzeug", "prometheus_client"}


def imported(importtime: str) -> set[str]:
    """The top-level packages in the output of `-X importtime`."""
    lines = [line for line in importtime.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_the_daemon_imports_only_what_it_uses(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """A whole run, from start over verdicts to stop, without embedded broker and HTTP."""
    draw_many(tmp_path / "parts", 5)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}")
    daemon.start("-X", "importtime")
    plant.wait_for_results(5)
    assert daemon.process is not None
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    assert daemon.stop() == 0
    packages = imported(daemon.log)
    assert {"edge", "numpy", "cv2", "paho"} <= packages
    assert not packages & (NEVER | WHEN_USED)
    assert "tensorflow/python" not in maps
    assert "_pywrap_tensorflow" not in maps


def test_what_is_not_configured_is_not_imported(make_daemon: MakeDaemon, plant: Plant) -> None:
    """With one test camera the daemon loads no other camera, no camera process and no pins."""
    daemon = make_daemon("test:", fps=20)
    daemon.start("-X", "importtime")
    plant.wait_for_results(3)
    assert daemon.stop() == 0
    lines = [line for line in daemon.log.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in lines}
    assert "edge.capture.sources.test_pattern" in modules
    assert not modules & UNUSED
    assert all(find_spec(name) for name in UNUSED if name.startswith("edge."))  # none is outdated


def test_check_imports_only_what_it_uses(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """`edge-inspect check` loads no heavy package that its configuration does not need."""
    draw_many(tmp_path / "parts", 1)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}")
    command = [sys.executable, "-X", "importtime", "-m", "edge", "check", "-c", str(daemon.config)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert not imported(done.stderr) & (NEVER | WHEN_USED)
    names = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert names == ["config", "camera top", "model", "broker", "disk", "history"]
    assert all(": OK (" in line for line in done.stdout.splitlines())


def test_config_schema_imports_no_pixels(make_daemon: MakeDaemon) -> None:
    """A command about the configuration alone loads neither OpenCV nor a model runtime."""
    command = [sys.executable, "-X", "importtime", "-m", "edge", "config", "schema"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert not imported(done.stderr) & (
        NEVER | WHEN_USED | {"cv2", "ai_edge_litert", "tflite_runtime", "paho"}
    )

"""`edge-inspect bench` from the command line: real daemon, real broker, real model."""

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest

from edge.core.errors import EXIT_DONE, EXIT_USAGE
from tests.conftest import WriteConfig
from tests.edge_bench.samples import bench_validator
from tests.support.mosquitto import mosquitto_program
from tests.support.runtimes import installed_runtimes
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.serial, pytest.mark.broker, pytest.mark.inference]
DEADLINE_S = 300.0


@pytest.fixture(autouse=True)
def _real_parts() -> None:
    mosquitto_program()
    if not installed_runtimes():
        pytest.skip("no TFLite runtime is installed; run: pip install ai-edge-litert")


@pytest.fixture
def config(write_config: WriteConfig) -> Path:
    """A configuration with a deadline that a busy test machine meets."""
    return write_config(decision={"deadline_ms": 60_000})


def command(config: Path, *options: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "edge", "bench", "-c", str(config), "--quick", *options]


def run(config: Path, *options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs the whole command."""
    return subprocess.run(
        command(config, *options),
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, **environ},
    )


def test_throughput_of_the_real_daemon(config: Path, tmp_path: Path) -> None:
    """The table, the JSON and the picture are written, every frame is acknowledged, and the
    outbox's folder is unchanged."""
    report, picture = tmp_path / "bench.json", tmp_path / "stages.svg"
    done = run(
        config, "--only", "throughput", "--sizes", "vga", "--rounds", "1", "--seconds", "1.5",
        "--workers", "1", "--json", str(report), "--picture", str(picture),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (EXIT_DONE, ""), done.stdout
    assert "no errors, no missing verdicts" in done.stdout
    said = json.loads(report.read_text())
    bench_validator().validate(said)
    (cell, *_) = said["throughput"]
    assert (cell["size"], cell["format"], cell["width"]) == ("vga", "jpeg", 640)
    (daemon,) = cell["daemon"]
    assert daemon["frames"] >= 8
    assert daemon["fps"] > 0
    assert daemon["cpu_ms"] > 0
    assert "prepare" in daemon["stages_ms"]
    assert ET.fromstring(picture.read_text()).tag.endswith("svg")
    assert not list(tmp_path.glob("edge-inspect-bench-*"))


@pytest.mark.campaign
def test_every_other_part_of_the_real_daemon(config: Path, tmp_path: Path) -> None:
    """Latency, start, memory, rates and idle are measured and obey the schema."""
    report = tmp_path / "bench.json"
    done = run(
        config, "--only", "latency,start,memory,rates,idle", "--sizes", "vga", "--json", str(report)
    )
    assert (done.returncode, done.stderr) == (EXIT_DONE, ""), done.stdout
    said = json.loads(report.read_text())
    bench_validator().validate(said)
    assert all(cell["frames"] == 25 for cell in said["latency"])
    assert all(cell["ready_s"] > 0 and cell["first_verdict_s"] > 0 for cell in said["start"])
    one, two = said["memory"]
    assert 0 < one["steady_mb"] < two["steady_mb"]
    assert all(cell["wakeups_s"] >= cell["daemon_wakeups_s"] > 0 for cell in said["idle"])


def test_a_raw_camera_of_the_real_daemon(config: Path, tmp_path: Path) -> None:
    """YUYV frames pass through the camera's process; the baseline script has no such camera."""
    report = tmp_path / "bench.json"
    done = run(
        config, "--only", "throughput", "--sizes", "vga", "--formats", "yuyv", "--json", str(report)
    )
    assert (done.returncode, done.stderr) == (EXIT_DONE, ""), done.stdout
    (cell,) = json.loads(report.read_text())["throughput"]
    assert cell["format"] == "yuyv"
    assert cell["by_hand"] is None
    assert cell["daemon"][0]["fps"] > 0


def test_a_model_that_cannot_be_loaded(write_config: WriteConfig, tmp_path: Path) -> None:
    """As with `run`: one sentence with the file, exit code 2, no traceback."""
    (tmp_path / "bad.tflite").write_bytes(b"text")
    config = write_config(model={"path": str(tmp_path / "bad.tflite")})
    done = run(config)
    assert done.returncode == EXIT_USAGE
    assert done.stderr.startswith(f"{tmp_path / 'bad.tflite'}: ")
    assert "Traceback" not in done.stderr
    other = subprocess.run(
        [sys.executable, "-m", "edge", "run", "-c", str(config)],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.stderr.splitlines()[-1] in other.stderr


@pytest.mark.parametrize(
    ("part", "number", "processes"),
    [
        ("memory", signal.SIGINT, 3),  # broker, daemon, and the process of its camera
        ("memory", signal.SIGTERM, 3),
        ("throughput", signal.SIGINT, 4),  # broker, bare loop, script and daemon: most stand still
    ],
)
def test_an_interrupted_bench_cleans_up(
    config: Path, tmp_path: Path, part: str, number: signal.Signals, processes: int
) -> None:
    """Ctrl-C or SIGTERM in the middle leaves no process and no folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    bench = subprocess.Popen(
        command(config, "--only", part, "--sizes", "vga", "--workers", "1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
        # a test run in the background passes its ignored SIGINT to child processes
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  one thread here
    )
    try:
        mine = psutil.Process(bench.pid)
        wait_until(lambda: len(mine.children(recursive=True)) >= processes, "its processes")
        children = mine.children(recursive=True)
        bench.send_signal(number)
        assert bench.wait(DEADLINE_S) == 130
    finally:
        bench.kill()
        bench.wait()
    wait_until(lambda: not any(child.is_running() for child in children), "the end of all")
    assert not list(temporary.iterdir())
    assert not list(tmp_path.glob("**/edge-inspect-bench-*"))

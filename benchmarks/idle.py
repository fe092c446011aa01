"""Wake-ups and processor time of a daemon that has nothing to do, by thread.

    python -m benchmarks.idle                       # every scene, 30 s each; needs mosquitto
    python -m benchmarks.idle --scenes folder,http --seconds 60

Starts `python -m edge run` before a mosquitto of its own, waits until it is ready, connected and
settled, and reads how often the kernel has put each thread of its processes on a core, and for how
long. Scenes: `folder`, an empty watched folder; `web`, the same with the HTTP server; `archive`,
the same with the archive; `all`, the same with both; `request`, a `test:` camera whose parts are
asked for and nobody asks; `http`, the same with a network camera (MJPEG). The limits, 20 wake-ups
a second and 1 % of a core, are those of a daemon that no camera wakes. Exit code 1 when one is
passed.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from edge_bench.camera_server import CameraServer
from tests.support.mosquitto import Mosquitto, free_port

MODEL = Path(__file__).parents[1] / "tests" / "models" / "redness.tflite"
SCENES = ("folder", "web", "archive", "all", "request", "http")
WATCHED = frozenset({"folder", "web", "archive", "all"})  # no camera wakes these
WAKES_LIMIT, CORE_LIMIT = 20.0, 0.01
_START_S = 60.0
_SIZE = (640, 480)

Task = tuple[int, int]  # process, thread


@dataclass(frozen=True, slots=True)
class Reading:
    """What the kernel has counted of each thread: switches away from a core, and seconds on one."""

    at: float
    names: dict[Task, str] = field(default_factory=dict)
    switches: dict[Task, int] = field(default_factory=dict)
    seconds: dict[Task, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One thread: wake-ups a second, and the share of a core, 0 to 1."""

    name: str
    wakes: float
    core: float


def read(root: int) -> Reading:
    """All threads of a process and of its descendants, now."""
    reading = Reading(time.monotonic())
    for process in descendants(root):
        for task in Path(f"/proc/{process}/task").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                _read_task(reading, root, process, task)
    return reading


def _read_task(reading: Reading, root: int, process: int, task: Path) -> None:
    key = process, int(task.name)
    name = (task / "comm").read_text(encoding="utf-8", errors="replace").strip()
    if process != root:
        name = f"process {name}"
    elif key[1] == root:
        name = "(main)"
    status = (task / "status").read_text(encoding="ascii", errors="replace").splitlines()
    counts = [int(line.split()[1]) for line in status if "ctxt_switches" in line]
    reading.names[key] = name
    reading.seconds[key] = int((task / "schedstat").read_text().split()[0]) / 1e9
    reading.switches[key] = sum(counts)


def descendants(root: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text(errors="replace")
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found


def rows_between(before: Reading, after: Reading) -> list[Row]:
    """By name, the busiest first; threads of one name together."""
    past = after.at - before.at
    wakes: Counter[str] = Counter()
    core: dict[str, float] = {}
    for task, name in after.names.items():
        wakes[name] += after.switches[task] - before.switches.get(task, 0)
        used = after.seconds[task] - before.seconds.get(task, 0.0)
        core[name] = core.get(name, 0.0) + used
    return sorted(
        (Row(name, wakes[name] / past, core[name] / past) for name in core), key=lambda r: -r.wakes
    )


@contextlib.contextmanager
def network_camera(fps: float) -> Iterator[str]:
    """The address of one, which sends 640×480."""
    chance = np.random.default_rng(1)
    ground = cv2.resize(chance.integers(60, 200, (24, 32, 3)).astype(np.uint8), _SIZE)
    pictures = [  # a scene with a sensor's noise: some 80 kB each
        cv2.imencode(".jpg", ground + chance.integers(0, 8, ground.shape, np.uint8))[1].tobytes()
        for _ in range(3)
    ]
    server = CameraServer(pictures, fps)
    yield server.source
    server.close()


def config_of(scene: str, folder: Path, port: int, camera: str, fps: float) -> dict[str, Any]:
    """config.yaml of a scene. `camera`: the network camera's address."""
    (folder / "drop").mkdir(parents=True)
    asked = {"trigger": {"kind": "request"}}
    sources: dict[str, dict[str, Any]] = {
        "request": {"source": "test:", "fps": fps, **asked},
        "http": {"source": camera, **asked},
    }
    source = sources.get(scene, {"source": f"folder:{folder / 'drop'}"})
    archive = {"enabled": scene in ("archive", "all"), "path": str(folder / "archive")}
    return {
        "station": "idle",
        "model": {"path": str(MODEL)},
        "cameras": [{"id": "cam1", **source}],
        "mqtt": {"port": port},
        "outbox": {"path": str(folder / "outbox.db")},
        "archive": archive,
        "web": {"enabled": scene in ("web", "all"), "port": free_port()},
    }


def measure(scene: str, folder: Path, values: dict[str, Any], seconds: float) -> list[Row]:
    """Runs the daemon and looks at it for so long."""
    config, log = folder / "config.yaml", folder / "daemon.log"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    with log.open("wb") as to:
        command = [sys.executable, "-m", "edge", "run", "-c", str(config)]
        daemon = subprocess.Popen(command, stderr=to)
    try:
        until = time.monotonic() + _START_S
        while not all(text in log.read_text() for text in ("ready: ", "connected to the broker")):
            if daemon.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{scene}: the daemon does not start:\n{log.read_text()}")
            time.sleep(0.1)
        time.sleep(5)  # what a start leaves behind: the first look at a folder, acknowledgements
        before = read(daemon.pid)
        time.sleep(seconds)
        return rows_between(before, read(daemon.pid))
    finally:
        daemon.terminate()
        daemon.wait(_START_S)


def main() -> int:
    """Prints a table a scene; exit code 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", default=",".join(SCENES), help="comma-separated")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each scene")
    parser.add_argument("--fps", type=float, default=10.0, help="of the cameras")
    arguments = parser.parse_args()
    scenes = arguments.scenes.split(",")
    if unknown := set(scenes) - set(SCENES):
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")
    good = True
    with tempfile.TemporaryDirectory() as name, network_camera(arguments.fps) as camera:
        broker = Mosquitto(Path(name))
        broker.start()
        try:
            for scene in scenes:
                folder = Path(name) / scene
                values = config_of(scene, folder, broker.port, camera, arguments.fps)
                rows = measure(scene, folder, values, arguments.seconds)
                good = _show(scene, rows) and good
        finally:
            broker.close()
    print("within the limits" if good else "NOT within the limits")
    return 0 if good else 1


def _show(scene: str, rows: list[Row]) -> bool:
    wakes, core = sum(row.wakes for row in rows), sum(row.core for row in rows)
    print(f"\n{scene:28}{'wake-ups/s':>12}{'% of a core':>13}")
    for row in (*rows, Row("all", wakes, core)):
        if row.wakes or row.name == "all":
            print(f"  {row.name:26}{row.wakes:>12.2f}{100 * row.core:>13.3f}", flush=True)
    return scene not in WATCHED or (wakes < WAKES_LIMIT and core < CORE_LIMIT)


if __name__ == "__main__":
    sys.exit(main())

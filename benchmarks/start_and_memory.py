"""Start to first verdict, peak memory and imports of the daemon, as a user would meet them.

    python benchmarks/start_and_memory.py -c config.yaml

Starts `edge-inspect run` on a copy of the configuration with an outbox of its own, in front of a
mosquitto of its own, plays the configured cameras, and stops it; five times. Needs mosquitto.
"""

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import yaml
from paho.mqtt.enums import CallbackAPIVersion

START_LIMIT_S, PEAK_LIMIT_MB = 1.5, 110.0
DEADLINE_S = 60.0
QUIET_S = 1.0  # after so long without a verdict the cameras have played all they had
LONGEST_S = 15.0  # of a camera that goes on
NEVER = ("tensorflow", "keras", "trainer", "converter", "torch", "scipy")
WHEN_USED = {
    "amqtt": ("mqtt", "embedded"),
    "waitress": ("web", "enabled"),
    "werkzeug": ("web", "enabled"),
    "prometheus_client": ("web", "enabled"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One start: seconds from exec to the first verdict at a subscriber, peak MB, verdicts."""

    first_s: float
    peak_mb: float
    verdicts: int


class Listener:
    """Counts verdicts, and notes when the first and the last one came (monotonic seconds)."""

    def __init__(self, port: int, topic: str) -> None:
        self.first = self.last = 0.0
        self.count = 0
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topic, qos=1)
        if not ready.wait(DEADLINE_S):
            raise SystemExit("mosquitto does not take a subscription")

    def _take(self, *_: Any) -> None:
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.count += 1

    def close(self) -> None:
        """Leaves."""
        self._client.disconnect()
        self._client.loop_stop()


def main() -> int:
    """Prints the table; exit code 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("-c", "--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    program = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if program is None:
        raise SystemExit("mosquitto is not installed; run: sudo apt-get install mosquitto")
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        broker = subprocess.Popen([program, "-p", str(port)], stderr=subprocess.DEVNULL)
        try:
            _await_port(port)
            runs = []
            for number in range(arguments.runs):
                config, topic = _config(arguments.config, Path(folder) / str(number), port)
                runs.append(_run(config, topic, port))
            surplus = _surplus_imports(config)
        finally:
            broker.terminate()
            broker.wait()
    return _report(runs, surplus)


def _config(path: Path, folder: Path, port: int) -> tuple[Path, str]:
    """A copy with its own broker port and outbox; relative paths still count from the original."""
    folder.mkdir()
    shown = subprocess.run(
        [sys.executable, "-m", "edge", "config", "show", "-c", str(path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    values = yaml.safe_load(shown)
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["outbox"]["path"] = str(folder / "outbox.db")
    for section in ("archive", "mqtt"):
        values[section] = {**said.get(section, {})}
    values["archive"]["enabled"] = False
    values["mqtt"] = {
        "port": port,
        "prefix": said.get("mqtt", {}).get("prefix", "inspection"),
    }
    # of a camera, only what the file says: the defaults of other kinds are not allowed
    for camera, written in zip(values["cameras"], said["cameras"]):
        for key in set(camera) - set(written):
            del camera[key]
    values["web"] = {"enabled": False}
    copy = folder / "config.yaml"
    copy.write_text(yaml.safe_dump(values), encoding="utf-8")
    return copy, f"{values['mqtt']['prefix']}/{values['station']}/result"


def _run(config: Path, topic: str, port: int) -> Run:
    listener = Listener(port, topic)
    start = time.monotonic()
    command = [sys.executable, "-m", "edge", "run", "-c", str(config)]
    log = config.with_name("daemon.log")
    with log.open("wb") as to:
        daemon = subprocess.Popen(command, stderr=to)
    try:
        while not listener.first or time.monotonic() - listener.last < QUIET_S:
            if listener.first and time.monotonic() - listener.first > LONGEST_S:
                break
            if daemon.poll() is not None or time.monotonic() - start > DEADLINE_S:
                raise SystemExit(f"no verdict came; the daemon said:\n{log.read_text()}")
            time.sleep(0.01)
        status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
    finally:
        daemon.terminate()
        daemon.wait(DEADLINE_S)
        listener.close()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return Run(listener.first - start, int(peak) / 1024, listener.count)


def _surplus_imports(config: Path) -> list[str]:
    """Packages that `edge-inspect check` imports without need."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "edge", "check", "-c", str(config)],
        check=False,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    packages = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    unused = [name for name, (a, b) in WHEN_USED.items() if not values.get(a, {}).get(b)]
    return sorted(packages & {*NEVER, *unused})


def _report(runs: list[Run], surplus: list[str]) -> int:
    first = [run.first_s for run in runs]
    peak = [run.peak_mb for run in runs]
    rows = [
        ("start to first verdict", "s", first, START_LIMIT_S, ".2f"),
        ("peak memory (VmHWM)", "MB", peak, PEAK_LIMIT_MB, ".1f"),
    ]
    _say(f"{'':26}{'median':>9}{'least':>9}{'most':>9}{'limit':>9}")
    for name, unit, values, limit, form in rows:
        cells = (statistics.median(values), min(values), max(values), limit)
        _say(f"{f'{name}, {unit}':26}" + "".join(f"{cell:>9{form}}" for cell in cells))
    _say(f"{'verdicts a run':26}" + ", ".join(str(run.verdicts) for run in runs))
    _say(f"{'imported without need':26}" + (", ".join(surplus) or "nothing"))
    good = (
        statistics.median(first) < START_LIMIT_S
        and statistics.median(peak) < PEAK_LIMIT_MB
        and not surplus
    )
    _say("within the limits" if good else "NOT within the limits")
    return 0 if good else 1


def _say(line: str) -> None:
    sys.stdout.write(line.rstrip() + "\n")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit("mosquitto does not start")


if __name__ == "__main__":
    sys.exit(main())

"""One life of the real daemon under a notify socket: when it was ready, and what it weighed."""

import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psutil
import yaml
from paho.mqtt.enums import CallbackAPIVersion

FRAMES_PER_S = 10.0
_DEADLINE_S = 60.0
_SETTLE_VERDICTS = 20  # a camera, before memory counts as steady
_LOOK_S = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")
_FIELD = re.compile(r"^(\w+):\s+(\d+) kB$", re.M)


@dataclass(frozen=True, slots=True)
class Picture:
    """What one process weighs, MB of PSS."""

    name: str
    pss_mb: float
    anonymous_mb: float
    files_mb: float
    shared_mb: float


@dataclass(frozen=True, slots=True)
class Life:
    """One start: seconds to READY and to the first verdict, CPU seconds of all processes until
    READY; PSS of all of them, steady and at most; `alone_mb`: file pages counted once, whole."""

    ready_s: float
    ready_cpu_s: float
    first_s: float
    steady_mb: float
    alone_mb: float
    peak_mb: float
    processes: list[Picture]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class Subscriber:
    """Counts verdicts, and notes when the first one came."""

    def __init__(self, port: int) -> None:
        self.first, self.count = 0.0, 0
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("inspection/bench/result", qos=1)
        if not ready.wait(_DEADLINE_S):
            raise SystemExit("mosquitto does not take a subscription")

    def _take(self, *_: Any) -> None:
        self.first = self.first or time.monotonic()
        self.count += 1

    def close(self) -> None:
        """Leaves."""
        self._client.disconnect()
        self._client.loop_stop()


def live(folder: Path, config: dict[str, Any], seconds: float) -> Life:
    """Starts the daemon, lets it judge for `seconds` when it has settled, and stops it."""
    path = written(folder, config)
    subscriber = Subscriber(config["mqtt"]["port"])
    try:
        with _ready_socket(folder) as notify:
            environ = {**os.environ, "NOTIFY_SOCKET": notify.getsockname()}
            environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
            start = time.monotonic()
            with (folder / "daemon.log").open("wb") as log:
                command = [sys.executable, "-m", "edge", "run", "-c", str(path)]
                daemon = subprocess.Popen(command, stderr=log, env=environ)
            try:
                _await_ready(notify, daemon, folder)
                ready_s, ready_cpu_s = time.monotonic() - start, _cpu_s(daemon.pid)
                more = _SETTLE_VERDICTS * len(config["cameras"])
                weights = list(_weigh(daemon.pid, subscriber, more, seconds))
            finally:
                daemon.terminate()
                daemon.wait(_DEADLINE_S)
        steady = [w for w in weights if w[2]]
        return Life(
            ready_s=ready_s,
            ready_cpu_s=ready_cpu_s,
            first_s=subscriber.first - start,
            steady_mb=statistics.median(sum(p.pss_mb for p in w[0]) for w in steady),
            alone_mb=statistics.median(w[1] for w in steady),
            peak_mb=max(sum(p.pss_mb for p in w[0]) for w in weights),
            processes=steady[-1][0],
        )
    finally:
        subscriber.close()


def written(folder: Path, config: dict[str, Any]) -> Path:
    """config.yaml in a folder of its own, with an outbox there."""
    folder.mkdir()
    path = folder / "config.yaml"
    values = {**config, "outbox": {"path": str(folder / "outbox.db")}}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@contextmanager
def _ready_socket(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(folder / "notify"))
        notify.settimeout(_DEADLINE_S)
        yield notify


def _await_ready(notify: socket.socket, daemon: subprocess.Popen[bytes], folder: Path) -> None:
    while b"READY=1" not in notify.recv(4096):
        if daemon.poll() is not None:
            raise SystemExit((folder / "daemon.log").read_text(encoding="utf-8"))
    # nobody listens from here on: the daemon's notes must find the socket empty, or be refused
    threading.Thread(target=_empty, args=(notify,), daemon=True).start()


def _empty(notify: socket.socket) -> None:
    try:
        while True:
            notify.recv(4096)
    except OSError:
        return


def _weigh(
    pid: int, subscriber: Subscriber, settle: int, seconds: float
) -> Iterator[tuple[list[Picture], float, bool]]:
    """Weight after weight until `seconds` after `settle` verdicts; True: it had settled."""
    end: float | None = None
    deadline = time.monotonic() + _DEADLINE_S
    while end is None or time.monotonic() < end:
        if end is None and subscriber.count >= settle:
            end = time.monotonic() + seconds
        if end is None and time.monotonic() > deadline:
            raise SystemExit(f"only {subscriber.count} verdicts came")
        yield *weigh(pid), end is not None
        time.sleep(_LOOK_S)


def weigh(pid: int) -> tuple[list[Picture], float]:
    """Each process of a daemon, and MB of all when file pages are counted once and whole."""
    pictures, private_mb = [], 0.0
    files: dict[tuple[str, str], int] = {}
    for each in _family(pid):
        try:
            roll = _fields(Path(f"/proc/{each.pid}/smaps_rollup").read_text(encoding="utf-8"))
            name = each.name()
            for key, kb in _file_pages(each.pid):
                files[key] = max(files.get(key, 0), kb)
        except (OSError, psutil.NoSuchProcess):
            continue  # it went meanwhile
        parts = [roll[f"Pss_{part}"] / 1024 for part in ("Anon", "File", "Shmem")]
        pictures.append(Picture(name, roll["Pss"] / 1024, *parts))
        private_mb += parts[0] + parts[2]
    return pictures, private_mb + sum(files.values()) / 1024


def _file_pages(pid: int) -> Iterator[tuple[tuple[str, str], int]]:
    """(file, offset in it) → kB of its pages that a process sees unchanged."""
    text = Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace")
    for block in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.M):
        head = block.partition("\n")[0].split(maxsplit=5)
        if len(head) < 6 or not head[5].startswith("/") or head[5].startswith("/memfd:"):
            continue
        values = _fields(block)
        yield (head[5], head[2]), values["Rss"] - values["Anonymous"]


def _fields(text: str) -> dict[str, int]:
    return {name: int(kb) for name, kb in _FIELD.findall(text)}


def _family(pid: int) -> list[psutil.Process]:
    try:
        daemon = psutil.Process(pid)
        return [daemon, *daemon.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(pid: int) -> float:
    total = 0.0
    for each in _family(pid):
        try:
            times = each.cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def dear_imports(folder: Path, config: dict[str, Any], most: int = 10) -> dict[str, list[str]]:
    """The dearest imports of the daemon, and of what a driven camera needs."""
    path = written(folder, config)
    once = (
        "import sys; from edge.__main__ import main; sys.exit(main(['check', '-c', sys.argv[1]]))"
    )
    return {
        "the daemon": _dearest(["-c", "import edge.cli.run, edge.daemon"], most),
        "`edge-inspect check`": _dearest(["-c", once, str(path)], most),
        "a camera's driver": _dearest(
            ["-c", "import edge.capture.isolation.child, edge.capture.drivers.mjpeg"], most
        ),
    }


def _dearest(arguments: list[str], most: int) -> list[str]:
    command = [sys.executable, "-X", "importtime", *arguments]
    for _ in range(2):  # the first time it may have to be compiled
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    found = re.findall(r"^import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)$", done.stderr, re.M)
    dear = sorted(found, key=lambda line: -int(line[1]))[:most]
    return [f"{int(whole) / 1000:8.1f}  {name}" for _, whole, _, name in dear]

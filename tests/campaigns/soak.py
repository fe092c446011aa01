"""A soak test: a million frames through the real daemon with connection cuts, reloads, a full
archive, HTTP requests and snapshots. Checks for growth of memory, files, threads and disk usage.

    python -m tests.campaigns.soak --frames 1000000 --chart docs/pictures/soak.svg

Two cameras replay small pictures at full speed, one is live, one reads a folder. Memory is
anonymous and shared memory of the daemon and its children. Exit code 1 when a verdict is missing, a
resource grows, or a limit is exceeded.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.support.counter import VerdictCounter
from tests.support.line_chart import Panel, chart
from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import Daemon, draw, draw_many
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

MB = 2**20
_SAMPLE_S, _CUT_S, _RELOAD_S, _DROP_S = 5.0, 37.0, 23.0, 1.0
_AWAY_S = 3.0  # without a connection, so that a backlog forms
_ARCHIVE_MB, _OUTBOX_MB = 8, 64
_WARM_UP = 0.2  # share of the frames in which caches fill
_SILENCE_S = 300.0
# Limits of growth: memory in bytes per 100,000 frames, files and threads per run.
_MEMORY_SLOPE, _FILES, _THREADS = 256 * 1024, 4, 3


@dataclass(frozen=True, slots=True)
class ResourceSample:
    """A sample of resources. Memory and disk in bytes."""

    seconds: float
    frames: int
    memory: int
    children: int
    files: int
    threads: int
    outbox: int
    archive: int
    log: int
    cpu_s: float


class SoakLoad:
    """The daemon and its load."""

    def __init__(self, folder: Path, frames: int) -> None:
        """Does not start the daemon."""
        self.folder = folder
        self.cuts = self.reloads = self.dropped = self.http_answers = 0
        draw_many(folder / "parts", 40)
        self.drop = folder / "drop"
        self.drop.mkdir()
        self.broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
        self.broker.start()
        self.proxy, self.web = Proxy(self.broker.port), free_port()
        self.counter = VerdictCounter(self.broker.port)
        self._stop = threading.Event()
        replay = {"source": f"replay:{folder / 'parts'}", "rate": "max", "loop": -(-frames // 80)}
        values = {
            "station": "line1",
            "model": {"path": str(MODELS / "redness.tflite")},
            "cameras": [
                {"id": "left", **replay},
                {"id": "right", **replay},
                {"id": "live", "source": "test:", "width": 320, "height": 240, "fps": 5},
                {"id": "dropped", "source": f"folder:{self.drop}", "move_to": str(folder / "old")},
            ],
            "decision": {"deadline_ms": 60_000, "reject_at": 0.5, "review_from": 0.4},
            "mqtt": {"port": self.proxy.port, "replay_per_s": 0, "snapshots": {"send": ["fail"]}},
            "archive": {
                "enabled": True,
                "path": str(folder / "kept"),
                "keep": ["fail", "review"],
                "max_mb": _ARCHIVE_MB,
            },
            "outbox": {"path": str(folder / "state" / "outbox.db"), "max_mb": _OUTBOX_MB},
            "web": {"enabled": True, "port": self.web},
            "health": {"interval_s": 5},
        }
        self.daemon = Daemon(folder, values)

    def start(self) -> psutil.Process:
        """Starts the daemon and the load. Returns when verdicts arrive."""
        self.daemon.start()
        self.counter.wait_for(1, _SILENCE_S)
        for every_s, what in (
            (_CUT_S, self._cut),
            (_RELOAD_S, self._reload),
            (_DROP_S, self._drop),
            (_SAMPLE_S, self._request_http),
        ):
            threading.Thread(target=self._repeat, args=(every_s, what), daemon=True).start()
        assert self.daemon.process is not None
        return psutil.Process(self.daemon.process.pid)

    def stop(self) -> None:
        """Ends the load and stops the daemon, which first delivers its verdicts."""
        self._stop.set()
        self.daemon.stop()

    def close(self) -> None:
        """Stops all programs."""
        self._stop.set()
        self.daemon.close()
        self.proxy.close()
        self.counter.close()
        self.broker.close()

    def _repeat(self, every_s: float, what: Any) -> None:
        while not self._stop.wait(every_s):
            what()

    def _cut(self) -> None:
        self.proxy.behave(closed=True)
        self.proxy.cut()
        self._stop.wait(_AWAY_S)
        self.proxy.reset_behaviour()
        self.cuts += 1

    def _reload(self) -> None:
        was, new = ("0.5", "0.6") if self.reloads % 2 == 0 else ("0.6", "0.5")
        text = self.daemon.config.read_text(encoding="utf-8")
        text = text.replace(f"reject_at: {was}", f"reject_at: {new}")
        part = self.daemon.config.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(self.daemon.config)
        assert self.daemon.process is not None
        self.daemon.process.send_signal(signal.SIGHUP)
        self.reloads += 1

    def _drop(self) -> None:
        draw(self.drop / f"part-{self.dropped}.png", self.dropped * 37)
        self.dropped += 1

    def _request_http(self) -> None:
        for name in ("metrics", "healthz"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/{name}", timeout=10) as a:
                    a.read()
                self.http_answers += 1
            except OSError:
                pass  # /healthz answers 503 while the connection is cut


def sample_resources(process: psutil.Process, load: SoakLoad, since: float) -> ResourceSample:
    """The current resources."""
    children = process.children(recursive=True)
    processes = [process, *children]
    cpu = process.cpu_times()
    return ResourceSample(
        seconds=time.monotonic() - since,
        frames=load.counter.count,
        memory=sum(_private_memory(one.pid) for one in processes),
        children=len(children),
        files=process.num_fds(),
        threads=process.num_threads(),
        outbox=_size(load.folder / "state"),
        archive=_size(load.folder / "kept"),
        log=(load.folder / "daemon.log").stat().st_size,
        cpu_s=cpu.user + cpu.system,
    )


def _private_memory(pid: int) -> int:
    """Bytes of anonymous and shared memory. File pages depend on other processes."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return 1024 * sum(int(kb) for kb in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", text))


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except OSError:
            continue  # just deleted
    return total


def trend(samples: Sequence[ResourceSample], name: str) -> tuple[float, float]:
    """Growth of a field per 100,000 frames after the warm-up, and half its 95 % interval.

    By least squares; correlated samples make the interval too narrow.
    """
    after_warm_up = [one for one in samples if one.frames >= _WARM_UP * samples[-1].frames]
    x = np.array([one.frames for one in after_warm_up]) / 1e5
    y = np.array([getattr(one, name) for one in after_warm_up], float)
    if len(x) < 4 or np.ptp(x) == 0:
        return float("nan"), float("nan")
    line, residue = np.polyfit(x, y, 1), 0.0
    residue = float(np.sum((y - np.polyval(line, x)) ** 2) / (len(x) - 2))
    return float(line[0]), 1.96 * float(np.sqrt(residue / np.sum((x - x.mean()) ** 2)))


def floor_growth(samples: Sequence[ResourceSample], name: str) -> float:
    """Growth from the lowest value of the first third to that of the last, per 100,000 frames.

    The minimum ignores memory that is freed again.
    """
    after_warm_up = [one for one in samples if one.frames >= _WARM_UP * samples[-1].frames]
    third = (after_warm_up[-1].frames - after_warm_up[0].frames) / 3
    first = min(
        getattr(one, name) for one in after_warm_up if one.frames <= after_warm_up[0].frames + third
    )
    last = min(
        getattr(one, name)
        for one in after_warm_up
        if one.frames >= after_warm_up[-1].frames - third
    )
    return float((last - first) / (2 * third) * 1e5) if third else float("nan")


def report(samples: Sequence[ResourceSample], load: SoakLoad) -> list[str]:
    """Prints the table. Returns the problems."""
    after_warm_up = [one for one in samples if one.frames >= _WARM_UP * samples[-1].frames]
    wrong = []
    print("\n| | at the end of the warm-up | lowest | highest | at the end |\n" + "|---" * 5 + "|")
    for name, unit, scale in (
        ("memory", "MB (anonymous and shared, with children)", MB),
        ("files", "open files", 1),
        ("threads", "threads", 1),
        ("children", "child processes", 1),
        ("outbox", "MB", MB),
        ("archive", "MB", MB),
        ("log", "KB", 1024),
    ):
        all_of_it = [getattr(one, name) / scale for one in after_warm_up]
        low, high = min(all_of_it), max(all_of_it)
        print(
            f"| {name}, {unit} | {all_of_it[0]:.1f} | {low:.1f} | {high:.1f} | "
            f"{all_of_it[-1]:.1f} |"
        )
    slope, half_interval = trend(samples, "memory")
    floor = floor_growth(samples, "memory")
    last = samples[-1]
    print(
        f"\n{last.frames} frames in {last.seconds:.0f} s, {last.frames / last.seconds:.0f} per "
        f"second, {1000 * last.cpu_s / last.frames:.2f} ms CPU each; the memory "
        f"floor grows by {floor / 1024:+.0f} KB per 100,000 frames (linear fit: "
        f"{slope / 1024:+.0f} ± {half_interval / 1024:.0f}); "
        f"{load.cuts} cuts, {load.reloads} reloads, {load.dropped} files, "
        f"{load.http_answers} HTTP answers"
    )
    if floor > _MEMORY_SLOPE:
        wrong.append(f"memory grows by {floor / 1024:.0f} KB per 100,000 frames")
    for name, limit in (("files", _FILES), ("threads", _THREADS)):
        first, end = getattr(after_warm_up[0], name), getattr(last, name)
        if end - first > limit:
            wrong.append(f"{name}: {first} became {end}")
    if max(one.archive for one in samples) > (_ARCHIVE_MB + 1) * MB:
        wrong.append("the archive exceeds its limit")
    if max(one.outbox for one in samples) > (_OUTBOX_MB + 2) * MB:
        wrong.append("the outbox exceeds its limit")
    if load.counter.missing():
        wrong.append(f"{load.counter.missing()} verdicts are missing")
    return wrong


def draw_chart(path: Path, samples: Sequence[ResourceSample]) -> None:
    """Draws memory, files, threads and disk over the frames."""
    x = [one.frames for one in samples]
    panels = [
        Panel("memory, MB", {"daemon and children": [one.memory / MB for one in samples]}),
        Panel("open files, threads", {
            "files": [float(one.files) for one in samples],
            "threads": [float(one.threads) for one in samples],
        }),
        Panel("disk, MB", {
            "archive": [one.archive / MB for one in samples],
            "outbox": [one.outbox / MB for one in samples],
            "log": [one.log / MB for one in samples],
        }),
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(chart("frames", x, panels), encoding="utf-8")


def main() -> int:
    """Prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="a folder on the measured disk"
    )
    parser.add_argument("--chart", type=Path, help="the SVG file to write")
    parser.add_argument(
        "--samples", type=Path, help="a file for all samples, one line of JSON each"
    )
    arguments = parser.parse_args()
    samples: list[ResourceSample] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="soak-") as name:
        load = SoakLoad(Path(name), arguments.frames)
        try:
            process, since = load.start(), time.monotonic()
            while load.counter.count < arguments.frames:
                count_before = load.counter.count
                time.sleep(_SAMPLE_S)
                if load.counter.count == count_before:  # the connection may be cut
                    load.counter.wait_for(count_before + 1, _SILENCE_S)
                samples.append(sample_resources(process, load, since))
                if arguments.samples is not None:
                    with arguments.samples.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(samples[-1])) + "\n")
            load.stop()
            last = load.daemon.last_seq()
            left = load.daemon.waiting()
            wait_until(lambda: load.counter.count >= last - left, "the last verdicts")
            wrong = report(samples, load)
        except (subprocess.TimeoutExpired, TimeoutError, psutil.Error) as error:
            print(f"{error}\n{load.daemon.log[-2000:]}", file=sys.stderr)
            return 1
        finally:
            load.close()
    if arguments.chart is not None:
        draw_chart(arguments.chart, samples)
    print("\n".join(wrong) or "no growth, no missing verdicts")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

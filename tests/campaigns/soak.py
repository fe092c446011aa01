"""A year in an hour: a million frames through the real daemon, with all that wears a box down:
connections cut, reloads, a full archive that turns over, HTTP and snapshots asked for. Does memory
grow, or files, threads, the disk?

    python -m tests.campaigns.soak --frames 1000000 --chart docs/pictures/soak.svg

Two replays of small pictures as fast as they can, one live camera, a folder camera that files are
dropped into. Memory is that of the daemon and its children which is no file's. Exit code 1 when a
verdict is missing, when a resource keeps growing, or when something outgrew its cap.
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

from tests.support.counter import Counter
from tests.support.line_chart import Panel, chart
from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import Daemon, draw, draw_many
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

MB = 2**20
_LOOK_S, _CUT_S, _RELOAD_S, _DROP_S = 5.0, 37.0, 23.0, 1.0
_AWAY_S = 3.0  # after a cut, so that there is a backlog
_ARCHIVE_MB, _OUTBOX_MB = 8, 64
_WARM = 0.2  # of the frames: caches and pools fill
_SILENCE_S = 300.0
# Past these it is growth: memory in bytes per 100,000 frames, others per run.
_MEMORY_SLOPE, _FILES, _THREADS = 256 * 1024, 4, 3


@dataclass(frozen=True, slots=True)
class Look:
    """What the kernel and the daemon say at one moment. Memory and disk in bytes."""

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


class Wear:
    """The daemon, and everything that happens to it."""

    def __init__(self, folder: Path, frames: int) -> None:
        """Not started."""
        self.folder = folder
        self.cuts = self.reloads = self.dropped = self.asked = 0
        draw_many(folder / "parts", 40)
        self.drop = folder / "drop"
        self.drop.mkdir()
        self.broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
        self.broker.start()
        self.proxy, self.web = Proxy(self.broker.port), free_port()
        self.counter = Counter(self.broker.port)
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
        """The daemon, and its wear. Returns when verdicts arrive."""
        self.daemon.start()
        self.counter.wait_for(1, _SILENCE_S)
        for every_s, what in (
            (_CUT_S, self._cut),
            (_RELOAD_S, self._reload),
            (_DROP_S, self._drop),
            (_LOOK_S, self._ask),
        ):
            threading.Thread(target=self._repeat, args=(every_s, what), daemon=True).start()
        assert self.daemon.process is not None
        return psutil.Process(self.daemon.process.pid)

    def stop(self) -> None:
        """Ends the wear, lets the daemon deliver what it has, and stops it."""
        self._stop.set()
        self.daemon.stop()

    def close(self) -> None:
        """Away with everything."""
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
        self.proxy.pass_on()
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

    def _ask(self) -> None:
        for name in ("metrics", "healthz"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/{name}", timeout=10) as a:
                    a.read()
                self.asked += 1
            except OSError:
                pass  # /healthz answers 503 while the connection is cut


def look(process: psutil.Process, wear: Wear, since: float) -> Look:
    """How things stand now."""
    children = process.children(recursive=True)
    everybody = [process, *children]
    cpu = process.cpu_times()
    return Look(
        seconds=time.monotonic() - since,
        frames=wear.counter.count,
        memory=sum(_own_memory(one.pid) for one in everybody),
        children=len(children),
        files=process.num_fds(),
        threads=process.num_threads(),
        outbox=_size(wear.folder / "state"),
        archive=_size(wear.folder / "kept"),
        log=(wear.folder / "daemon.log").stat().st_size,
        cpu_s=cpu.user + cpu.system,
    )


def _own_memory(pid: int) -> int:
    """Bytes that are no file's: of files, libraries among them, other processes on this machine
    have their share, and it comes and goes with these."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return 1024 * sum(int(kb) for kb in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", text))


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except OSError:
            continue  # deleted this moment
    return total


def trend(looks: Sequence[Look], name: str) -> tuple[float, float]:
    """Growth of a field per 100,000 frames after the warm-up, and half its 95 % interval (of a
    straight line by least squares; looks that hang together make it too narrow)."""
    warm = [one for one in looks if one.frames >= _WARM * looks[-1].frames]
    x = np.array([one.frames for one in warm]) / 1e5
    y = np.array([getattr(one, name) for one in warm], float)
    if len(x) < 4 or np.ptp(x) == 0:
        return float("nan"), float("nan")
    line, residue = np.polyfit(x, y, 1), 0.0
    residue = float(np.sum((y - np.polyval(line, x)) ** 2) / (len(x) - 2))
    return float(line[0]), 1.96 * float(np.sqrt(residue / np.sum((x - x.mean()) ** 2)))


def floor_growth(looks: Sequence[Look], name: str) -> float:
    """By how much the lowest value of the last third is above that of the first, per 100,000 frames
    between them: what comes and goes is no growth, what never comes back is."""
    warm = [one for one in looks if one.frames >= _WARM * looks[-1].frames]
    third = (warm[-1].frames - warm[0].frames) / 3
    first = min(getattr(one, name) for one in warm if one.frames <= warm[0].frames + third)
    last = min(getattr(one, name) for one in warm if one.frames >= warm[-1].frames - third)
    return float((last - first) / (2 * third) * 1e5) if third else float("nan")


def report(looks: Sequence[Look], wear: Wear) -> list[str]:
    """Prints the table; returns what is wrong."""
    warm = [one for one in looks if one.frames >= _WARM * looks[-1].frames]
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
        all_of_it = [getattr(one, name) / scale for one in warm]
        low, high = min(all_of_it), max(all_of_it)
        print(
            f"| {name}, {unit} | {all_of_it[0]:.1f} | {low:.1f} | {high:.1f} | "
            f"{all_of_it[-1]:.1f} |"
        )
    slope, half = trend(looks, "memory")
    floor = floor_growth(looks, "memory")
    last = looks[-1]
    print(
        f"\n{last.frames} frames in {last.seconds:.0f} s, {last.frames / last.seconds:.0f} a "
        f"second, {1000 * last.cpu_s / last.frames:.2f} ms CPU each; memory's "
        f"floor grows by {floor / 1024:+.0f} KB per 100,000 frames (a straight line through all "
        f"looks: {slope / 1024:+.0f} ± {half / 1024:.0f}); {wear.cuts} cuts, "
        f"{wear.reloads} reloads, {wear.dropped} files, {wear.asked} answers over HTTP"
    )
    if floor > _MEMORY_SLOPE:
        wrong.append(f"memory grows by {floor / 1024:.0f} KB per 100,000 frames")
    for name, most in (("files", _FILES), ("threads", _THREADS)):
        first, end = getattr(warm[0], name), getattr(last, name)
        if end - first > most:
            wrong.append(f"{name}: {first} became {end}")
    if max(one.archive for one in looks) > (_ARCHIVE_MB + 1) * MB:
        wrong.append("the archive is over its cap")
    if max(one.outbox for one in looks) > (_OUTBOX_MB + 2) * MB:
        wrong.append("the outbox is over its cap")
    if wear.counter.missing():
        wrong.append(f"{wear.counter.missing()} verdicts are missing")
    return wrong


def draw_chart(path: Path, looks: Sequence[Look]) -> None:
    """Memory, files, threads and disk over the frames."""
    x = [one.frames for one in looks]
    panels = [
        Panel("memory, MB", {"daemon and children": [one.memory / MB for one in looks]}),
        Panel("open files, threads", {
            "files": [float(one.files) for one in looks],
            "threads": [float(one.threads) for one in looks],
        }),
        Panel("disk, MB", {
            "archive": [one.archive / MB for one in looks],
            "outbox": [one.outbox / MB for one in looks],
            "log": [one.log / MB for one in looks],
        }),
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(chart("frames", x, panels), encoding="utf-8")


def main() -> int:
    """Prints the table and the verdict on it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk to be used")
    parser.add_argument("--chart", type=Path, help="an SVG file to be written")
    parser.add_argument("--looks", type=Path, help="a file for every look, a line of JSON each")
    arguments = parser.parse_args()
    looks: list[Look] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="soak-") as name:
        wear = Wear(Path(name), arguments.frames)
        try:
            process, since = wear.start(), time.monotonic()
            while wear.counter.count < arguments.frames:
                heard = wear.counter.count
                time.sleep(_LOOK_S)
                if wear.counter.count == heard:  # the connection is cut, perhaps
                    wear.counter.wait_for(heard + 1, _SILENCE_S)
                looks.append(look(process, wear, since))
                if arguments.looks is not None:
                    with arguments.looks.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(looks[-1])) + "\n")
            wear.stop()
            last = wear.daemon.last_seq()
            left = wear.daemon.waiting()
            wait_until(lambda: wear.counter.count >= last - left, "the last verdicts")
            wrong = report(looks, wear)
        except (subprocess.TimeoutExpired, TimeoutError, psutil.Error) as error:
            print(f"{error}\n{wear.daemon.log[-2000:]}", file=sys.stderr)
            return 1
        finally:
            wear.close()
    if arguments.chart is not None:
        draw_chart(arguments.chart, looks)
    print("\n".join(wrong) or "nothing grows, nothing is missing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

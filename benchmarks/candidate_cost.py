"""What a candidate costs the line before it counts: a daemon at a camera's pace, in turns with and
without. Late verdicts, latencies, and frames/s.

    python -m benchmarks.candidate_cost shadow --rounds 5 --seconds 30
    python -m benchmarks.candidate_cost shadow --rate max     # throughput: files at full speed
    python -m benchmarks.candidate_cost sheet --pictures 2000 --rounds 3

`shadow`: a version judges along (`models shadow`). `sheet`: the newest kept pictures are judged
again (`models verify --pictures`) in a process beside the daemon.
"""

import argparse
import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.evidence_cost import draw_all
from benchmarks.growth.processes import own_memory
from edge.core.percentiles import percentile
from tests.support.kept_pictures import judge_and_keep
from tests.support.model_versions import install_with_shadow
from tests.support.plant import Daemon
from tests.support.waiting import wait_until

T = TypeVar("T")
DEADLINE_MS = 100.0  # a later verdict is `error`
_CHUNK = 50  # pictures that the archive's queue takes at once
_FIRST = 50  # frames of the start, which are not counted


class Box:
    """A daemon with redness@1 active and redness@2 installed, and the latencies of its verdicts."""

    def __init__(self, folder: Path, rate: str, size: tuple[int, int]) -> None:
        draw_all(folder / "pictures", *size)
        versions = install_with_shadow(folder, reject_at=0.7)
        (versions / "shadow.json").unlink()
        pace: Any = rate if rate == "max" else float(rate)
        self.daemon = Daemon(
            folder,
            {
                "station": "line1",
                "model": {"path": "redness"},
                "models": {"path": str(versions)},
                "cameras": [
                    {
                        "id": "top",
                        "source": f"replay:{folder / 'pictures'}",
                        "rate": pace,
                        "loop": 1_000_000,
                    }
                ],
                "decision": {"deadline_ms": DEADLINE_MS},
                "archive": {
                    "enabled": True,
                    "path": str(folder / "kept"),
                    "keep": ["pass", "review", "fail"],
                    "min_free_mb": 0,
                    "max_mb": 20_000,
                },
                "mqtt": {"host": "127.0.0.1", "port": 1},
            },
        )

    def fill_archive(self, count: int) -> None:
        """Keeps so many pictures before the daemon starts; it keeps none itself."""
        pictures = sorted((self.daemon.folder / "pictures").iterdir())
        for done in range(0, count, _CHUNK):
            some = [pictures[n % len(pictures)] for n in range(min(_CHUNK, count - done))]
            judge_and_keep(self.daemon.config, some)

    def keep_nothing(self) -> None:
        """The daemon writes no picture of its own."""
        text = self.daemon.config.read_text()
        self.daemon.config.write_text(text.replace("- pass\n", "- error\n", 1))

    def memory(self) -> float:
        """Of the daemon, in MB."""
        assert self.daemon.process is not None
        return own_memory(self.daemon.process.pid) / 2**20

    def models(self, *arguments: str) -> dict[str, Any]:
        """`edge-inspect models … --json`."""
        command = [sys.executable, "-m", "edge", "models", *arguments, "--json"]
        done = subprocess.run(
            [*command, "-c", str(self.daemon.config)], capture_output=True, text=True, check=True
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def verdicts(self, first: int, last: int) -> list[dict[str, Any]]:
        """The bodies in the outbox, from one number to another."""
        with contextlib.closing(sqlite3.connect(self.daemon.outbox, timeout=30)) as db:
            rows = db.execute("SELECT body FROM outbox WHERE seq > ? AND seq <= ?", (first, last))
            return [json.loads(body) for (body,) in rows]


class Turn:
    """The verdicts of one turn."""

    def __init__(self, name: str, bodies: list[dict[str, Any]], seconds: float) -> None:
        times = [one["latency_ms"]["capture_to_verdict"] for one in bodies]
        self.p50, self.p99 = percentile(times, 50), percentile(times, 99)
        self.rate = len(bodies) / seconds
        self.late = sum(one["verdict"] == "error" for one in bodies)
        self.text = (
            f"  {name:<8} {len(bodies):5} verdicts in {seconds:5.1f} s: {self.rate:6.1f}/s, p50 "
            f"{self.p50:6.2f} ms, p99 {self.p99:6.2f} ms, {self.late} late"
        )


def turn(box: Box, name: str, action: Callable[[], T]) -> tuple[Turn, T]:
    """The daemon's verdicts while `action` runs, and what it returns."""
    first, began = box.daemon.last_seq(), time.monotonic()
    done = action()
    last, seconds = box.daemon.last_seq(), time.monotonic() - began
    found = Turn(name, box.verdicts(first, last), seconds)
    print(found.text, flush=True)
    return found, done


def shadow(box: Box, rounds: int, seconds: float) -> list[tuple[Turn, Turn]]:
    """In turns without and with a version that judges along."""
    turns = []
    for _ in range(rounds):
        without, _ = turn(box, "without", partial(time.sleep, seconds))
        before = box.memory()
        box.models("shadow", "redness@2")
        along, _ = turn(box, "with", partial(time.sleep, seconds))
        more = box.memory() - before
        report = box.models("shadow", "--stop")
        print(
            f"           {report['judged']} judged along, {report['skipped']} skipped, "
            f"{more:+.1f} MB"
        )
        turns.append((without, along))
    return turns


def sheet(box: Box, rounds: int, pictures: int) -> list[tuple[Turn, Turn]]:
    """In turns without and with a sheet of own pictures, each as long as the other."""
    turns = []
    for _ in range(rounds):
        beside, found = turn(
            box, "with", lambda: box.models("verify", "redness@2", "--pictures", str(pictures))
        )
        assert found["judged"] == pictures, found
        print(f"           {pictures} pictures judged in {found['seconds']} s")
        without, _ = turn(box, "without", partial(time.sleep, found["seconds"]))
        turns.append((without, beside))
    return turns


def main() -> None:
    """Prints each turn, and the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("shadow", "sheet"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rate", default="10", help="frames/s of the camera, or max")
    parser.add_argument("--size", default="1920x1080")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        box = Box(Path(name), arguments.rate, (width, height))
        if arguments.what == "sheet":
            box.fill_archive(arguments.pictures)
        box.keep_nothing()
        box.daemon.start()
        try:
            wait_until(lambda: box.daemon.last_seq() >= _FIRST, "the first verdicts")
            if arguments.what == "shadow":
                turns = shadow(box, arguments.rounds, arguments.seconds)
            else:
                turns = sheet(box, arguments.rounds, arguments.pictures)
        finally:
            box.daemon.close()
    for what, values in (
        ("p50", [(a.p50, b.p50) for a, b in turns]),
        ("p99", [(a.p99, b.p99) for a, b in turns]),
    ):
        more = [after - before for before, after in values]
        print(
            f"{what}: {statistics.median(a for a, _ in values):.2f} ms without, "
            f"{statistics.median(more):+.2f} ms with (from {min(more):+.2f} to {max(more):+.2f})"
        )
    rates = [after.rate / before.rate for before, after in turns]
    late = [sum(one.late for one in side) for side in zip(*turns, strict=True)]
    print(
        f"verdicts/s: {statistics.median(rates):.3f} × (from {min(rates):.3f} to "
        f"{max(rates):.3f}); late: {late[0]} without, {late[1]} with"
    )


if __name__ == "__main__":
    main()

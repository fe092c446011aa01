"""How many instructions a frame costs outside decode, resize and invoke; CI fails when they grow.

    python -m benchmarks.instructions            measure, compare with benchmarks/instructions.json
    python -m benchmarks.instructions --accept   measure, and make that the number to compare with

The way of a frame (`benchmarks.frameway`) runs under valgrind, which counts every instruction of
the process: for so many frames, and for three times as many. The slope between the two is what a
frame costs; start and set-up drop out. The slope of the bare loop (the same picture read, decoded,
resized, invoked) is taken off. `alone`: one frame at a time, as at 10 a second. `together`: 16 at a
time, as at full speed. A stage is the difference between ending before it and ending after it.

Not in it: what the kernel does (fsync, sockets, waking a thread), waiting, a second thread that
wants the same lock, processes of cameras, what only live cameras need (trust), the archive, HTTP,
and health every ten seconds. Instructions are no time; but they are the same on a busy machine, so
a growth of a few percent is seen.

Exit code 1 when a number is above 1.10 times the tracked one. It is tracked by processor and
Python, since each has its own; where there is none for this machine it is only said.
"""

import argparse
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from benchmarks.frameway import UPTO, Course
from tests.loss.counter import Counter
from tests.system.mosquitto import Mosquitto
from tests.system.plant import wait_for

TRACKED = Path(__file__).with_name("instructions.json")
MODEL = Path(__file__).parents[1] / "tests" / "models" / "redness.tflite"
LIMIT = 1.10
WAYS = {"alone": 1, "together": 16}
STAGES = UPTO[1:]
_FEW, _TIMES = 32, 3  # frames; a multiple of what goes together
_LIBRARIES = ("numpy", "opencv-python-headless", "paho-mqtt", "pydantic")
_DEADLINE_S = 900.0

Counts = dict[str, int]  # instructions a frame, by `way/stage` and `way/all`


def key() -> str:
    """What a number holds for: processor and Python."""
    return f"{platform.machine()} Python {sys.version_info.major}.{sys.version_info.minor}"


def measure(folder: Path) -> Counts:
    """One run under valgrind. Raises as `slopes`."""
    courses = [Course(upto, together) for together in WAYS.values() for upto in UPTO]
    found = dict(zip(courses, slopes(folder, courses)))
    counts: Counts = {}
    for way, together in WAYS.items():
        cost = {upto: found[Course(upto, together)] for upto in UPTO}
        for before, stage in zip(UPTO, STAGES):
            counts[f"{way}/{stage}"] = cost[stage] - cost[before]
        counts[f"{way}/all"] = cost[UPTO[-1]] - cost[UPTO[0]]
    return counts


def slopes(folder: Path, courses: Sequence[Course]) -> list[int]:
    """Instructions a frame on each course, the work of the bare loop included. Raises RuntimeError
    when one fails, AssertionError when the broker did not get every verdict."""
    folder.mkdir(parents=True)
    picture = np.random.default_rng(1).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "picture.jpg"), picture)
    wanted = [(course, frames) for course in courses for frames in (_FEW, _TIMES * _FEW)]
    sent = sum(frames for course, frames in wanted if course.upto == UPTO[-1])
    broker = Mosquitto(folder / "broker", "allow_anonymous true", "max_inflight_messages 100")
    broker.start()
    counter = Counter(broker.port)
    try:
        totals = _totals(folder, _config(folder, broker.port), wanted)
        # each child counts from 1 again
        wait_for(lambda: counter.count + counter.twice >= sent, f"{sent} verdicts arrive", 20.0)
    finally:
        counter.close()
        broker.close()
    return [(more - few) // ((_TIMES - 1) * _FEW) for few, more in zip(totals[::2], totals[1::2])]


def verdict(measured: Mapping[str, int], tracked: Mapping[str, int] | None) -> tuple[int, str]:
    """The exit code and what is to be said. Only `…/all` decides; stages say where to look."""
    if tracked is None:
        return 0, f"no number is tracked for {key()}: nothing to compare with; see --accept"
    code, lines = 0, []
    for way in WAYS:
        now, before = measured[f"{way}/all"], tracked[f"{way}/all"]
        if now > LIMIT * before:
            code = 1
            parts = {
                stage: measured[f"{way}/{stage}"] - tracked[f"{way}/{stage}"] for stage in STAGES
            }
            worst = ", ".join(f"{s} {parts[s]:+,d}" for s in sorted(parts, key=lambda s: -parts[s]))
            lines.append(
                f"{way}: {now:,d} instructions a frame are {now / before:.2f} times the tracked "
                f"{before:,d}; at most {LIMIT:.2f} is allowed. By stage: {worst}. Make it cheap "
                "again; or, if it is worth its cost, run `make instructions ACCEPT=1` and commit "
                f"benchmarks/{TRACKED.name}, saying why"
            )
        elif now * LIMIT < before:
            lines.append(
                f"{way}: {now:,d} instructions a frame, only {now / before:.2f} of the tracked "
                f"{before:,d}: run `make instructions ACCEPT=1` and commit "
                f"benchmarks/{TRACKED.name}, so that it stays so"
            )
        else:
            lines.append(f"{way}: {now / before:.3f} of the tracked {before:,d}")
    return code, "\n".join(lines)


def _totals(folder: Path, config: Path, wanted: Sequence[tuple[Course, int]]) -> list[int]:
    """Instructions of each child, those of the common start included."""
    found = shutil.which("valgrind")
    if found is None:
        sys.exit("valgrind is not installed; run: sudo apt-get install valgrind")
    done = subprocess.run(
        [
            *(found, "-q", "--tool=cachegrind", "--cache-sim=no"),
            f"--cachegrind-out-file={folder / 'count.%p'}",
            *(sys.executable, "-m", "benchmarks.frameway", str(config)),
            *(f"{c.upto}:{c.together}:{c.burden}:{frames}" for c, frames in wanted),
        ],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    children = done.stdout.split()
    if done.returncode or len(children) != len(wanted):
        raise RuntimeError(f"the way of a frame has failed:\n{done.stdout}\n{done.stderr}")
    return [_summary(folder / f"count.{child}") for child in children]


def _summary(file: Path) -> int:
    found = re.search(r"^summary: (\d+)", file.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{file}: valgrind wrote no sum")
    return int(found[1])


def _config(folder: Path, port: int) -> Path:
    path = folder / "config.yaml"
    camera = {"id": "top", "source": f"replay:{folder / 'picture.jpg'}", "rate": "max"}
    values: dict[str, Any] = {
        "station": "line1",
        "model": {"path": str(MODEL)},
        "cameras": [{**camera, "loop": 1_000_000}],
        "mqtt": {"port": port, "keepalive_s": 3600},
        "outbox": {"path": str(folder / "outbox.db")},
    }
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def _versions() -> dict[str, str]:
    named = {name: version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **named}


def _table(runs: list[Counts]) -> str:
    rows = ["| | " + " | ".join(WAYS) + " | spread |\n|---|" + "---|" * (len(WAYS) + 1)]
    for stage in (*STAGES, "all"):
        cells = [sorted(run[f"{way}/{stage}"] for run in runs) for way in WAYS]
        spread = max((cell[-1] - cell[0]) / max(1, abs(cell[0])) for cell in cells)
        middle = " | ".join(f"{cell[len(cell) // 2]:,d}" for cell in cells)
        rows.append(f"| {stage} | {middle} | {spread:.2%} |")
    return "\n".join(rows)


def main() -> int:
    """Prints the table; exit code 1 when a frame costs more than it may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="track what is measured now")
    parser.add_argument("--runs", type=int, default=2, help="to see the spread; the median counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="instructions-") as name:
        runs = [measure(Path(name) / str(number)) for number in range(arguments.runs)]
    measured = {one: sorted(run[one] for run in runs)[len(runs) // 2] for one in runs[0]}
    tracked = json.loads(TRACKED.read_text(encoding="utf-8")) if TRACKED.exists() else {}
    print(f"Instructions a frame outside decode, resize and invoke, {key()}, {len(runs)} runs\n")
    print(_table(runs) + "\n")
    if arguments.accept:
        tracked[key()] = {"versions": _versions(), "a_frame": measured}
        TRACKED.write_text(json.dumps(tracked, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(f"accepted into benchmarks/{TRACKED.name}")
        return 0
    known = tracked.get(key())
    code, said = verdict(measured, None if known is None else known["a_frame"])
    print(said)
    if known is not None and known["versions"] != _versions():
        print(f"measured with {_versions()}, tracked with {known['versions']}")
    return code


if __name__ == "__main__":
    sys.exit(main())

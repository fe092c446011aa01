"""What the daemon weighs and how soon it is ready: 0 to 4 live 1080p cameras.

    python -m benchmarks.memory_and_start --starts 5

The real daemon (`python -m edge run`) runs under a notify socket of this program, in front of a
mosquitto of its own, with MJPEG cameras (`http:`, 10 pictures/s, a server here) and with `test:`
ones. For each number of cameras: the PSS of every process of the daemon (the kernel counts a page
that n processes share as 1/n), the median and the most while verdicts flow; the seconds from the
start to READY and to the first verdict at a subscriber, and the CPU seconds that READY took.
`alone`: as it would be when nothing else on the machine used the same libraries. Then the dearest
imports. Exit code 1 when a limit of `--limit` is passed.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.daemon_life import FRAMES_PER_S, Life, Picture, dear_imports, live
from tests.support.mosquitto import Mosquitto
from tests.support.noisy_camera import noisy_camera

MODEL = Path(__file__).parents[1] / "tests" / "models" / "redness.tflite"
# The limits of the product: PSS with one 1080p camera, PSS of each further one, start to READY.
STEADY_LIMIT_MB, MORE_LIMIT_MB, READY_LIMIT_S = 110.0, 25.0, 1.0
WIDTH, HEIGHT = 1920, 1080


def main() -> int:
    """Prints the tables; exit code 1 when a limit is passed and `--limit` was given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cameras", default="1,2,3,4", help="how many, with commas between")
    parser.add_argument("--kinds", default="http,test")
    parser.add_argument("--starts", type=int, default=5, help="of each kind and number")
    parser.add_argument("--seconds", type=float, default=5.0, help="of steady flow, each start")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--limit", action="store_true", help="exit code 1 past a limit")
    said = parser.parse_args()
    counts = [int(n) for n in said.cameras.split(",")]
    rows: dict[str, dict[int, list[Life]]] = {}
    with tempfile.TemporaryDirectory() as name, noisy_camera(WIDTH, HEIGHT, FRAMES_PER_S) as camera:
        folder = Path(name)
        broker = Mosquitto(folder)
        broker.start()
        try:
            config = _config("http", 1, said.model.resolve(), broker.port, camera)
            live(folder / "compiled", config, 0.1)  # by its first life, which is not counted
            for kind in said.kinds.split(","):
                rows[kind] = {}
                for count in counts:
                    config = _config(kind, count, said.model.resolve(), broker.port, camera)
                    lives = [
                        live(folder / f"{kind}{count}-{n}", config, said.seconds)
                        for n in range(said.starts)
                    ]
                    rows[kind][count] = lives
                    _row(kind, count, lives)
            imports = dear_imports(folder / "imports", config)
        finally:
            broker.close()
    _processes(rows)
    for who, lines in imports.items():
        print(f"\nthe dearest imports of {who}, ms with all they import:")
        print("\n".join(lines))
    if said.json is not None:
        said.json.write_text(json.dumps(_plain(rows)), encoding="utf-8")
    good = _within(rows.get("http", {}))
    print("within the limits" if good else "NOT within the limits")
    return 0 if good or not said.limit else 1


def _config(kind: str, count: int, model: Path, port: int, url: str) -> dict[str, Any]:
    cameras = []
    for number in range(1, count + 1):
        camera: dict[str, Any] = {"id": f"cam{number}"}
        if kind == "http":
            camera["source"] = f"{url}/{number}"
        else:
            size = {"width": WIDTH, "height": HEIGHT}
            camera |= {"source": "test:", "fps": FRAMES_PER_S, **size}
        cameras.append(camera)
    return {
        "station": "bench",
        "model": {"path": str(model)},
        "cameras": cameras,
        "mqtt": {"port": port},
    }


def _middle(values: list[float]) -> float:
    return statistics.median(values)


def _row(kind: str, count: int, lives: list[Life]) -> None:
    if not getattr(_row, "headed", False):
        print(
            f"{'cameras':10}{'steady MB':>11}{'alone MB':>10}{'peak MB':>9}{'READY s':>9}"
            f"{'least':>7}{'most':>7}{'CPU s':>7}{'verdict s':>11}{'processes':>11}"
        )
        _row.headed = True  # type: ignore[attr-defined]  # a table has one head
    ready = [life.ready_s for life in lives]
    print(
        f"{count} {kind:8}{_middle([x.steady_mb for x in lives]):>11.1f}"
        f"{_middle([x.alone_mb for x in lives]):>10.1f}{max(x.peak_mb for x in lives):>9.1f}"
        f"{_middle(ready):>9.2f}{min(ready):>7.2f}{max(ready):>7.2f}"
        f"{_middle([x.ready_cpu_s for x in lives]):>7.2f}"
        f"{_middle([x.first_s for x in lives]):>11.2f}{len(lives[0].processes):>11}",
        flush=True,
    )


def _processes(rows: dict[str, dict[int, list[Life]]]) -> None:
    print("\nPSS of each process, MB (anonymous + files + shared memory), in the last start:")
    for kind, counts in rows.items():
        for count, lives in counts.items():
            print(f"{count} {kind}: " + "; ".join(_one(p) for p in lives[-1].processes))


def _one(picture: Picture) -> str:
    anonymous, files, shared = picture.anonymous_mb, picture.files_mb, picture.shared_mb
    total = f"{picture.pss_mb:.1f}"
    return f"{picture.name} {total} ({anonymous:.1f} + {files:.1f} + {shared:.1f})"


def _within(counts: dict[int, list[Life]]) -> bool:
    steady = {n: _middle([life.steady_mb for life in lives]) for n, lives in counts.items()}
    ready = {n: _middle([life.ready_s for life in lives]) for n, lives in counts.items()}
    if 1 not in counts:
        return False
    more = [(steady[n] - steady[1]) / (n - 1) for n in steady if n > 1]
    for each in more:
        print(f"each further camera: {each:.1f} MB")
    return (
        steady[1] <= STEADY_LIMIT_MB
        and all(each <= MORE_LIMIT_MB for each in more)
        and ready[1] <= READY_LIMIT_S
    )


def _plain(rows: dict[str, dict[int, list[Life]]]) -> dict[str, Any]:
    return {
        kind: {str(n): [life.as_json() for life in lives] for n, lives in counts.items()}
        for kind, counts in rows.items()
    }


if __name__ == "__main__":
    sys.exit(main())

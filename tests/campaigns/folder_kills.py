"""Files that arrive in a `folder:` while the daemon is killed again and again: is each judged, and
are two verdicts for one file only ever copies with the same id?

    python -m tests.campaigns.folder_kills --files 5000 --kills 20

The real daemon (`edge-inspect run`), a real mosquitto, `kill -9` at random moments. Half of the
files are written in place, half renamed into the folder. Exit code 1 when a file has no verdict, or
two verdicts with different ids.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon, Plant, draw

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_DEADLINE_S = 1800.0


def drop(folder: Path, count: int, done: threading.Event, pause_s: float) -> None:
    """Files arrive at an even pace, every second one written in place."""
    for number in range(count):
        name = f"part{number:05}.png"
        if number % 2:
            draw(folder / name, number % 256)
        else:
            data = draw(folder.parent / "one.png", number % 256).read_bytes()
            (folder / name).write_bytes(data)
        time.sleep(pause_s)
    done.set()


def main() -> int:
    """Prints the count; exit code 1 when a rule is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "drop"
        folder.mkdir()
        broker = Mosquitto(root / "broker")
        broker.start()
        daemon = Daemon(
            root,
            {
                "station": "line1",
                "model": {"path": str(MODEL)},
                "cameras": [{"id": "top", "source": f"folder:{folder}"}],
                "mqtt": {"port": broker.port},
            },
        )
        plant = Plant(broker.port)
        done = threading.Event()
        writer = threading.Thread(
            target=drop, args=(folder, arguments.files, done, 0.01), name="camera"
        )
        since = time.monotonic()
        writer.start()
        kills = 0
        while kills < arguments.kills:
            daemon.start()
            before = daemon.last_seq()
            goal = before + chance.randrange(1, max(2, arguments.files // arguments.kills))
            while daemon.last_seq() < min(goal, arguments.files) and not done.is_set():
                time.sleep(chance.uniform(0.01, 0.1))
            daemon.kill()
            kills += 1
        daemon.start()
        writer.join()
        judged: dict[str, set[str]] = defaultdict(set)
        until = time.monotonic() + _DEADLINE_S
        while len(judged) < arguments.files and time.monotonic() < until:
            time.sleep(0.5)
            for body in plant.bodies("result"):
                judged[body["part"]].add(body["id"])
        daemon.stop()
        deliveries = len(plant.bodies("result"))
        plant.close()
        broker.close()
    double = [part for part, ids in judged.items() if len(ids) > 1]
    print(
        f"{arguments.files} files, {kills} kills, {time.monotonic() - since:.0f} s: "
        f"{len(judged)} files judged, {deliveries} deliveries, {len(double)} files with two ids"
    )
    return 0 if len(judged) == arguments.files and not double else 1


if __name__ == "__main__":
    sys.exit(main())

"""Kills the daemon repeatedly while files arrive in a `folder:` source. Checks that each file is
judged, and that two verdicts on one file have the same id.

    python -m tests.campaigns.folder_kills --files 5000 --kills 20

It uses the real daemon, a real mosquitto, and `kill -9` at random times. Half of the files are
written in place, half are renamed into the folder. Exit code 1 when a file has no verdict, or two
ids.
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


def write_files(folder: Path, count: int, done: threading.Event, pause_s: float) -> None:
    """Writes files at a steady rate; every second file is written in place."""
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
    """Prints the counts. Exit code 1 when a rule is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
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
            target=write_files, args=(folder, arguments.files, done, 0.01), name="camera"
        )
        since = time.monotonic()
        writer.start()
        kills = 0
        while kills < arguments.kills:
            daemon.start()
            before = daemon.last_seq()
            goal = before + rng.randrange(1, max(2, arguments.files // arguments.kills))
            while daemon.last_seq() < min(goal, arguments.files) and not done.is_set():
                time.sleep(rng.uniform(0.01, 0.1))
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
    with_two_ids = [part for part, ids in judged.items() if len(ids) > 1]
    print(
        f"{arguments.files} files, {kills} kills, {time.monotonic() - since:.0f} s: "
        f"{len(judged)} files judged, {deliveries} deliveries, {len(with_two_ids)} with two ids"
    )
    return 0 if len(judged) == arguments.files and not with_two_ids else 1


if __name__ == "__main__":
    sys.exit(main())

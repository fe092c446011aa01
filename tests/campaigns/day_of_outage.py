"""A day without a broker at 5 verdicts/s, then the broker returns. Measures the size of the outbox,
the time to drain it, and the delay of live verdicts.

    python -m tests.campaigns.day_of_outage --count 432000

The real daemon stores the verdicts at full speed without a broker. Then mosquitto starts, the
daemon runs with a live camera at 5 frames/s, and the backlog drains: at the default rate and at
full speed. Exit code 1 when a verdict is missing, or when live verdicts exceed `--limit-ms` at p99.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge.config import MqttConfig
from tests.loss import outboxfile
from tests.support.counter import VerdictCounter
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import Daemon, draw_many
from tests.support.waiting import wait_until

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_PICTURES = 8
_TIMEOUT_S = 4 * 3600.0
_FPS = 5.0


def box(folder: Path, port: int, camera: dict[str, Any], **mqtt: Any) -> Daemon:
    """A daemon with a large outbox."""
    folder.mkdir(exist_ok=True)
    return Daemon(
        folder,
        {
            "station": "line1",
            "model": {"path": str(MODEL)},
            "cameras": [camera],
            "mqtt": {"port": port, **mqtt},
            "outbox": {"path": str(folder / "state" / "outbox.db"), "max_mb": 4096},
        },
    )


def store(folder: Path, count: int) -> Daemon:
    """Runs an outage: `count` verdicts are stored, none is sent."""
    draw_many(folder / "pictures", _PICTURES)
    daemon = box(
        folder,
        free_port(),
        {
            "id": "past",
            "source": f"replay:{folder / 'pictures'}",
            "loop": -(-count // _PICTURES),
        },
    )
    daemon.start()
    wait_until(lambda: daemon.last_seq() >= count, f"{count} verdicts stored", _TIMEOUT_S)
    daemon.stop()
    return daemon


def drain(folder: Path, state: Path, count: int, **mqtt: Any) -> dict[str, Any]:
    """Starts the broker and drains the backlog. Returns the row of the table."""
    folder.mkdir()
    shutil.copytree(state, folder / "state")
    broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
    broker.start()
    counter = VerdictCounter(broker.port, live_camera="live")
    camera = {"id": "live", "source": "test:", "fps": _FPS, "width": 320, "height": 240}
    daemon = box(folder, broker.port, camera, **mqtt)
    try:
        daemon.start()
        counter.wait_for(1, 120.0)
        since = time.monotonic()
        counter.wait_for(count, 120.0)
        seconds = time.monotonic() - since
        delays = list(counter.delays_ms)
        wait_until(lambda: daemon.waiting() < 100, "the outbox is empty", 120.0)
        after = outboxfile.size(daemon.outbox)
        daemon.stop()
    finally:
        daemon.close()
        counter.close()
        broker.close()
    p50, p99 = np.percentile(delays, [50, 99]) if delays else (float("nan"),) * 2
    return {
        "seconds": seconds,
        "live": len(delays),
        "p50": p50,
        "p99": p99,
        "latest": max(delays, default=float("nan")),
        "replayed": counter.replayed_count,
        "missing": counter.missing(),
        "after": after,
    }


def main() -> int:
    """Prints sizes and table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=24 * 3600 * 5, help="verdicts of the outage")
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="a folder on the measured disk"
    )
    parser.add_argument(
        "--limit-ms",
        type=float,
        default=100.0,
        help="p99 of live verdicts while the backlog drains",
    )
    parser.add_argument("--full-only", action="store_true", help="leave out the default rate")
    arguments = parser.parse_args()
    rated = hasattr(MqttConfig(), "replay_per_s")
    rates: dict[str, dict[str, Any]] = {"full speed": {"replay_per_s": 0} if rated else {}}
    if rated and not arguments.full_only:
        default = MqttConfig().replay_per_s
        rates = {f"{default:g} a second (default)": {}, **rates}
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="outage-") as name:
        root = Path(name)
        since = time.monotonic()
        daemon = store(root / "past", arguments.count)
        stored, size = daemon.last_seq(), outboxfile.size(daemon.outbox)
        print(
            f"{stored} verdicts stored without a broker in {time.monotonic() - since:.0f} s; on "
            f"disk {size / 2**20:.0f} MB, {size / stored:.0f} bytes a verdict",
            flush=True,
        )
        print(
            "\n| backlog | to drain, s | verdicts/s | live verdicts | live p50 ms | p99 ms | "
            "latest ms | live marked replayed | missing | file afterwards, MB |\n"
            + "|---" * 10
            + "|"
        )
        good = True
        for number, (rate, options) in enumerate(rates.items()):
            row = drain(root / f"drain{number}", daemon.outbox.parent, stored, **options)
            good = good and row["missing"] == 0 and row["p99"] <= arguments.limit_ms
            print(
                f"| {rate} | {row['seconds']:.0f} | {stored / row['seconds']:.0f} | "
                f"{row['live']} | "
                f"{row['p50']:.1f} | {row['p99']:.1f} | {row['latest']:.1f} | {row['replayed']} | "
                f"{row['missing']} | {row['after'] / 2**20:.1f} |",
                flush=True,
            )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Sends a million verdicts through one daemon and one mosquitto. Measures rate, CPU, memory growth
and bytes written for each durability level, and compares with a plain paho-mqtt loop.

    python -m tests.campaigns.million_verdicts --count 1000000

The real daemon replays tiny pictures at full speed. `--folder` must be on a real disk, so that the
bytes written are valid. Exit code 1 when a verdict is missing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.config.schema import OutboxConfig
from tests.support.counter import VerdictCounter
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon, draw_many

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_PICTURES = 8
_STEP = 100_000  # verdicts between two memory samples
_SILENCE_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")

# The minimum, for comparison: the same bodies from memory, the same window, no storage.
_PLAIN = """
import sys, threading, time
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
port, count, body = int(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer.read()
window, done = threading.Semaphore(20), threading.Event()
left = [count]
def acknowledged(*_):
    window.release()
    left[0] -= 1
    if not left[0]:
        done.set()
client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
client.on_publish = acknowledged
client.connect("127.0.0.1", port)
client.loop_start()
since, used = time.monotonic(), time.process_time()
for number in range(count):
    window.acquire()
    client.publish("inspection/line1/result", body, qos=1)
done.wait()
print(count / (time.monotonic() - since), (time.process_time() - used) / count)
client.disconnect()
client.loop_stop()
"""


@dataclass(slots=True)
class ProcessSamples:
    """Samples of /proc for one process."""

    pid: int
    counts: list[int] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)

    def sample(self, count: int) -> None:
        """Samples anonymous and shared memory after `count` verdicts.

        File pages are excluded, because the kernel drops and reloads them.
        """
        text = Path(f"/proc/{self.pid}/status").read_text()
        self.counts.append(count)
        self.memory_bytes.append(
            1024 * sum(map(int, re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", text)))
        )

    def slope(self) -> float:
        """Growth in bytes per 100,000 verdicts, without the first fifth, when caches fill."""
        start = len(self.counts) // 5
        if len(self.counts) - start < 2:
            return float("nan")
        line = np.polyfit(self.counts[start:], self.memory_bytes[start:], 1)
        return float(line[0]) * 100_000

    def cpu_s(self) -> float:
        """User and system time so far, seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def written(self) -> int:
        """Bytes written to disk so far."""
        text = Path(f"/proc/{self.pid}/io").read_text()
        return int(re.findall(r"^write_bytes: (\d+)", text, re.MULTILINE)[0])


def through_the_daemon(folder: Path, count: int, level: str | None) -> dict[str, Any]:
    """Runs one level. Returns the row of the table."""
    folder.mkdir()
    draw_many(folder / "pictures", _PICTURES)
    broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
    broker.start()
    counter = VerdictCounter(broker.port)
    outbox: dict[str, Any] = {"path": str(folder / "state" / "outbox.db"), "max_mb": 1024}
    if level is not None:
        outbox["durability"] = level
    daemon = Daemon(
        folder,
        {
            "station": "line1",
            "model": {"path": str(MODEL)},
            "cameras": [
                {
                    "id": "top",
                    "source": f"replay:{folder / 'pictures'}",
                    "rate": "max",
                    "loop": -(-count // _PICTURES),
                }
            ],
            "mqtt": {"port": broker.port},
            "outbox": outbox,
        },
    )
    try:
        daemon.start()
        counter.wait_for(1, _SILENCE_S)
        assert daemon.process is not None
        samples = ProcessSamples(daemon.process.pid)
        first, since = counter.count, time.monotonic()
        used, written = samples.cpu_s(), samples.written()
        for goal in [*range(_STEP, count, _STEP), count]:
            counter.wait_for(goal, _SILENCE_S)
            samples.sample(counter.count)
        seconds = time.monotonic() - since
        used, written = samples.cpu_s() - used, samples.written() - written
        done = counter.count - first
        daemon.stop()
    finally:
        daemon.close()
        counter.close()
        broker.close()
    return {
        "level": level or "strict",
        "missing": counter.missing(),
        "duplicates": counter.duplicates,
        "rate": done / seconds,
        "cpu_ms": used / done * 1000,
        "slope": samples.slope(),
        "memory_mb": samples.memory_bytes[-1] / 2**20,
        "written": written / done,
        "body": counter.last,
    }


def through_plain_paho(folder: Path, count: int, body: bytes) -> tuple[float, float]:
    """Verdicts per second, and CPU seconds per verdict."""
    broker = Mosquitto(folder, "allow_anonymous true", "persistence false")
    broker.start()
    counter = VerdictCounter(broker.port)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PLAIN, str(broker.port), str(count)],
            input=body,
            capture_output=True,
            check=True,
        )
    finally:
        counter.close()
        broker.close()
    rate, cpu = done.stdout.split()
    return float(rate), float(cpu)


def main() -> int:
    """Prints the table. Exit code 1 when a verdict is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="verdicts at each level")
    parser.add_argument("--plain", type=int, default=100_000, help="messages of the plain loop")
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="a folder on the measured disk"
    )
    parser.add_argument("--levels", default="strict,balanced")
    arguments = parser.parse_args()
    known = hasattr(OutboxConfig(), "durability")
    levels: list[str | None] = list(arguments.levels.split(",")) if known else [None]
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="million-") as name:
        rows = []
        for level in levels:
            rows.append(through_the_daemon(Path(name) / f"{level}", arguments.count, level))
            shown = {k: v for k, v in rows[-1].items() if k != "body"}
            print(json.dumps(shown), flush=True)
        body = rows[-1]["body"]
        rate, cpu = through_plain_paho(Path(name) / "plain", arguments.plain, body)
    print(
        "\n| | verdicts/s | CPU ms per verdict | memory MB | slope, bytes per 100,000 | "
        "bytes written per verdict | missing | duplicates |\n" + "|---" * 8 + "|"
    )
    for row in rows:
        print(
            f"| {row['level']} | {row['rate']:.0f} | {row['cpu_ms']:.3f} | "
            f"{row['memory_mb']:.0f} | {row['slope']:+.0f} | {row['written']:.0f} | "
            f"{row['missing']} | {row['duplicates']} |"
        )
    print(f"| plain paho loop, no camera, no outbox | {rate:.0f} | {cpu * 1000:.3f} | | | 0 | | |")
    print(f"\n{arguments.count} verdicts at each level, {len(body)} bytes each")
    return 1 if any(row["missing"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Inside the emulated machine of scripts/powercut.sh: runs the daemon, and reports what its outbox
holds, over the second serial line.

It runs until the power is cut. The report reads the outbox as any other program would, so it sees
what is committed, and nothing else. Lines: `all` (what follows was there at the start), `row SEQ ID
DIGEST`, `ready` (all that was there has been said), `dead` (the daemon has ended).
"""

import json
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import BinaryIO

import yaml

from edge.config.schema import OutboxConfig
from edge.storage.outbox.reader import OutboxReader
from tests.machine.digest import digest

_STATE = Path("/var/lib/edge-inspect")
_LOG, _CONFIG = Path("/tmp/daemon.log"), Path("/tmp/config.yaml")
_MODEL = Path("tests/models/redness.tflite").absolute()
_BATCH, _PAUSE_S, _READY_S = 500, 0.05, 600.0


def configuration(port: int) -> dict[str, object]:
    """Two cameras at 10 pictures a second; every verdict is on disk before it is announced."""
    outbox: dict[str, object] = {"path": str(_STATE / "outbox.db")}
    if hasattr(OutboxConfig(), "durability"):
        outbox["durability"] = "strict"
    return {
        "station": "line1",
        "model": {"path": str(_MODEL)},
        "cameras": [
            {"id": name, "source": "test:", "width": 160, "height": 120, "fps": 10}
            for name in ("top", "side")
        ],
        "mqtt": {"host": "10.0.2.2", "port": port, "keepalive_s": 5},
        "outbox": outbox,
    }


def option(name: str) -> str:
    """A word of the kernel's command line."""
    words = Path("/proc/cmdline").read_text(encoding="utf-8").split()
    return next(word.partition("=")[2] for word in words if word.startswith(f"{name}="))


def wait_until_ready(daemon: "subprocess.Popen[bytes]") -> bool:
    """Until the daemon says so; False when it ends or never does."""
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and daemon.poll() is None:
        if b"ready:" in _LOG.read_bytes():
            return True
        time.sleep(_PAUSE_S)
    return False


def report(serial: BinaryIO, daemon: "subprocess.Popen[bytes]") -> None:
    """Says each row once, for ever."""
    view, last, told = OutboxReader(_STATE / "outbox.db"), 0, False
    serial.write(b"all\n")
    while daemon.poll() is None:
        rows = view.batch(last, _BATCH)
        for row in rows:
            body = json.loads(row.body)
            serial.write(f"row {row.seq} {body['id']} {digest(body)}\n".encode())
            last = row.seq
        if len(rows) < _BATCH:
            if not told:
                serial.write(b"ready\n")
                told = True
            time.sleep(_PAUSE_S)


def main() -> int:
    """Until the power is cut; 1 when the daemon ends before."""
    for command in (
        "modprobe virtio_net",
        "ip link set lo up",
        "ip link set eth0 up",
        "ip addr add 10.0.2.15/24 dev eth0",
    ):
        subprocess.run(command.split(), check=True)
    _STATE.mkdir(parents=True, exist_ok=True)
    _CONFIG.write_text(yaml.safe_dump(configuration(int(option("machine.port")))), encoding="utf-8")
    with _LOG.open("wb") as log, Path("/dev/ttyS1").open("wb", buffering=0) as serial:
        tty.setraw(serial.fileno())
        daemon = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", "-c", str(_CONFIG)], stderr=log
        )
        if wait_until_ready(daemon):
            report(serial, daemon)
        serial.write(b"dead\n")
        print(_LOG.read_text(encoding="utf-8", errors="replace"), flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""What the operator sees when the box itself is in trouble, and what is lost:
`python -m tests.system.box_troubles` plays each trouble with the real daemon and a real mosquitto
and prints a table. As root also those that need a file system or a memory limit of their own."""

import contextlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import MODELS
from tests.loss.disk import PRIVATE_MOUNTS, Card, Memory, can_mount
from tests.loss.proxy import Proxy
from tests.system.mosquitto import Mosquitto, free_port
from tests.system.plant import Daemon, Plant, wait_for

_YEAR_S = 365.25 * 24 * 3600
_MORE = 25  # verdicts that must come while a trouble lasts
_CUT_EVERY_S, _CUTTING_S = 0.3, 30.0


@dataclass
class Stage:
    """A box with a live camera, its broker, and a plant that listens."""

    folder: Path
    outbox: Path | None = None
    cameras: Sequence[dict[str, Any]] = ()
    wrap: Callable[[list[str]], list[str]] = list
    by_proxy: bool = False
    seen: list[str] = field(default_factory=list)  # faults of health, as they came

    def __enter__(self) -> "Stage":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker = Mosquitto(self.folder / "broker")
        self.broker.start()
        self.proxy = Proxy(self.broker.port) if self.by_proxy else None
        self.plant = Plant(self.broker.port)
        self.web = free_port()
        camera = {"id": "top", "source": "test:", "fps": 20, "width": 64, "height": 48}
        values: dict[str, Any] = {
            "station": "line1",
            "model": {"path": str(MODELS / "redness.tflite")},
            "cameras": [camera],
            "decision": {"deadline_ms": 60_000},
            "mqtt": {"port": self.proxy.port if self.proxy else self.broker.port},
            "web": {"enabled": True, "port": self.web},
            "health": {"interval_s": 0.5},
        }
        if self.outbox is not None:
            values["outbox"] = {"path": str(self.outbox)}
        self.daemon = Daemon(self.folder, values)
        if self.outbox is not None:
            self.daemon.outbox = self.outbox
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.close()
        self.plant.close()
        if self.proxy is not None:
            self.proxy.close()
        self.broker.close()

    def start(self) -> None:
        """The daemon; returns when verdicts come."""
        command = [sys.executable, "-m", "edge", "run", "-c", str(self.daemon.config)]
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon.process = subprocess.Popen(self.wrap(command), stderr=log)
        self.more(5)

    def more(self, count: int = _MORE) -> None:
        """Until so many more verdicts have come."""
        before = len(self.plant.bodies("result"))

        def came() -> bool:
            self._alive()
            return len(self.plant.bodies("result")) >= before + count

        wait_for(came, f"{count} more verdicts")

    def _alive(self) -> None:
        if self.daemon.process is not None and self.daemon.process.poll() is not None:
            code = self.daemon.process.returncode
            raise AssertionError(f"the daemon has ended with {code}:\n{self.daemon.log}")

    def told(self, words: str) -> str:
        """Until `health` has a fault with these words: the fault."""
        found: list[str] = []

        def there() -> bool:
            self._alive()
            found[:] = [text for text in self.faults() if words in text]
            return bool(found)

        wait_for(there, f"a fault with {words!r}")
        return found[0]

    def untold(self, words: str) -> None:
        """Until no fault has these words."""
        wait_for(lambda: not any(words in text for text in self.faults()), f"no fault {words!r}")

    def faults(self) -> list[str]:
        """Of /healthz now."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/healthz", timeout=5) as got:
                body = json.load(got)
        except urllib.error.HTTPError as error:
            body = json.load(error)
        except OSError:
            return []
        found: list[str] = body["faults"]
        return found

    def logged(self, words: str) -> str:
        """The first line of the log with these words."""
        return next(line for line in self.daemon.log.splitlines() if words in line)[9:]

    def lost(self) -> int:
        """Stops the daemon: verdicts that were stored and that nobody has."""
        if self.daemon.process is not None and self.daemon.process.poll() is None:
            self.daemon.stop()
        last = self.daemon.last_seq()
        waiting = self.daemon.waiting()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: len(self.plant.results()) + waiting >= last, "the last", 20)
        given = set(range(1, last + 1))
        skipped = _skipped(self.daemon.log)
        return len(given - self.plant.results().keys() - skipped) - waiting


def _skipped(log: str) -> set[int]:
    """Numbers that the box said it left out, since it cannot know what a killed run gave."""
    found: set[int] = set()
    for first, last in re.findall(r"the numbers (\d+) to (\d+) are not used", log):
        found |= set(range(int(first), int(last) + 1))
    return found


@dataclass(frozen=True)
class Row:
    """What was seen. `lost`: stored verdicts that nobody has."""

    trouble: str
    log: str
    health: str
    meanwhile: str
    lost: int


def disk_full(folder: Path) -> Row:
    """Not a block is free where the outbox is, and then there is room again."""
    disk = Memory(folder / "disk")
    try:
        with Stage(folder, outbox=disk.folder / "state" / "outbox.db") as stage:
            stage.start()
            disk.fill()
            health = stage.told("outbox: ")
            stage.more()
            disk.free()
            stage.untold("outbox: ")
            healed = stage.logged("takes verdicts again")
            stage.more()
            row = "verdicts go on from memory; " + healed.partition("outbox: ")[2]
            return Row("disk full", stage.logged("disk is full"), health, row, stage.lost())
    finally:
        disk.close()


def disk_read_only(folder: Path) -> Row:
    """As the kernel does after an error of the card."""
    disk = Card(folder / "disk")
    try:
        with Stage(folder, outbox=disk.folder / "state" / "outbox.db") as stage:
            stage.start()
            disk.break_down()
            health = stage.told("outbox: ")
            stage.more()
            stage.daemon.stop()
            log = stage.logged("verdicts are sent from memory")
            disk.mend()
            stage.start()
            meanwhile = "verdicts go on from memory; a mended disk and a restart heal it"
            return Row("disk read-only", log, health, meanwhile, stage.lost())
    finally:
        disk.close()


def clock_jumps(folder: Path) -> Row:
    """Ten years on, twenty back, and home again, with an outage of the broker in it."""
    offset = folder / "offset"
    folder.mkdir(parents=True, exist_ok=True)
    offset.write_bytes(bytes(8))

    def shift(years: float) -> None:
        with offset.open("r+b") as file:  # never cut short: the daemon has it mapped
            file.write(struct.pack("d", years * _YEAR_S))

    def under_it(command: list[str]) -> list[str]:
        return [command[0], "-m", "tests.system.shifted", str(offset), command[-1]]

    with Stage(folder, wrap=under_it) as stage:
        stage.start()
        for years in (10, -10, 10):
            shift(years)
            stage.more()
        stage.broker.kill()
        before = stage.daemon.last_seq()
        stage.daemon.wait_for_stored(before + 20)
        shift(-10)
        stage.daemon.wait_for_stored(before + 40)
        stage.broker.start()
        stage.more()
        shift(0)
        stage.more()
        years_seen = sorted({body["captured_at"][:4] for body in stage.plant.bodies("result")})
        dropped = stage.plant.bodies("health")[-1]["outbox"]["dropped"]
        lost = stage.lost()
    meanwhile = (
        f"`captured_at` says {', '.join(years_seen)}; `seq` keeps the order; {dropped} dropped for "
        "their age"
    )
    return Row("clock ± 10 years, a broker away in it", "—", "—", meanwhile, lost)


def no_network(folder: Path) -> Row:
    """The broker is away: what of it a day is, benchmarks.day_of_outage shows."""
    with Stage(folder) as stage:
        stage.start()
        stage.broker.kill()
        health = stage.told("broker: ")
        before = stage.daemon.last_seq()
        stage.daemon.wait_for_stored(before + 200)
        lines = sum("delivery: " in line for line in stage.daemon.log.splitlines())
        stage.broker.start()
        stage.untold("broker: ")
        log = stage.logged("no broker answers")
        return Row(
            "no network", log, health, f"verdicts are stored; {lines} lines of log", stage.lost()
        )


def many_reconnects(folder: Path) -> Row:
    """The connection is cut more than three times a second."""
    with Stage(folder, by_proxy=True) as stage:
        assert stage.proxy is not None
        stage.start()
        since, cuts = time.monotonic(), 0
        while (now := time.monotonic()) < since + _CUTTING_S:
            if now >= since + cuts * _CUT_EVERY_S:
                stage.proxy.cut()
                cuts += 1
            time.sleep(0.01)
        stage.more()
        lines = [line for line in stage.daemon.log.splitlines() if "delivery: " in line]
        reconnects = stage.plant.bodies("health")[-1]["broker"]["reconnects"]
        log = next(line for line in lines if "lost" in line)[9:]
        meanwhile = f"{cuts} cuts, {reconnects} reconnects, {len(lines)} lines of log"
        return Row("200 cuts a minute", log, "—", meanwhile, stage.lost())


def hot(folder: Path) -> Row:
    """A thermal zone of 91 °C, mounted over the machine's own."""
    zones = folder / "thermal" / "thermal_zone0"
    zones.mkdir(parents=True)
    (zones / "temp").write_text("91000\n")
    subprocess.run(
        ["mount", "--bind", str(zones.parent), "/sys/class/thermal"], check=True, timeout=20
    )
    try:
        with Stage(folder) as stage:
            stage.start()
            health = stage.told("temperature: ")
            (zones / "temp").write_text("60000\n")
            stage.untold("temperature: ")
            meanwhile = "judging goes on; the fault goes when it is cooler"
            return Row("hot CPU", "—", health, meanwhile, stage.lost())
    finally:
        subprocess.run(["umount", "/sys/class/thermal"], check=False, timeout=20)


def memory_limit(folder: Path) -> Row:
    """The kernel ends the daemon at its limit; as under systemd it is started again."""
    group = _memory_group(f"edge-inspect-{os.getpid()}")
    if group is None:
        raise NotImplementedError

    def inside(command: list[str]) -> list[str]:
        return ["sh", "-c", f"echo $$ > {group}/cgroup.procs; exec {' '.join(command)}"]

    try:
        with Stage(folder, wrap=inside) as stage:
            stage.start()
            assert stage.daemon.process is not None
            _limit(group, _used(stage.daemon.process.pid) + 48 * 2**20)
            bomb = _picture_of_64_megapixels()
            with contextlib.suppress(OSError):
                _post(stage.web, bomb)
            code = stage.daemon.process.wait(60)
            _limit(group, 2**30)
            stage.start()
            return Row(
                "memory limit reached",
                f"(systemd: the process was ended by signal {-code}, and is started again)",
                "`memory_low` from 90 % of the limit on",
                "no verdict until it is up again",
                stage.lost(),
            )
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def _memory_group(name: str) -> Path | None:
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        controllers = root / "cgroup.controllers"
        if controllers.exists() and "memory" not in controllers.read_text():
            continue
        if not (root / "cgroup.procs").exists():
            continue
        try:
            (root / name).mkdir()
        except OSError:
            continue
        if any((root / name / limit).exists() for limit in ("memory.max", _V1)):
            return root / name
        (root / name).rmdir()
    return None


_V1 = "memory.limit_in_bytes"


def _limit(group: Path, most: int) -> None:
    name = "memory.max" if (group / "memory.max").exists() else _V1
    (group / name).write_text(str(most))


def _used(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.findall(r"VmRSS:\s+(\d+)", text)[0])


def _picture_of_64_megapixels() -> bytes:
    import cv2
    import numpy as np

    done, data = cv2.imencode(".png", np.zeros((4000, 16_000), np.uint8))
    assert done
    return data.tobytes()


def _post(port: int, data: bytes) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict",
        head + data + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    urllib.request.urlopen(request, timeout=60).read()


Play = Callable[[Path], Row]
ANYWHERE: tuple[Play, ...] = (clock_jumps, no_network, many_reconnects)
AS_ROOT: tuple[Play, ...] = (disk_full, disk_read_only, hot, memory_limit)


def rows(folder: Path) -> Iterator[Row]:
    """Every trouble that can be made here."""
    for number, play in enumerate([*ANYWHERE, *(AS_ROOT if can_mount() else ())]):
        try:
            yield play(folder / str(number))
        except NotImplementedError:
            sys.stderr.write(f"{play.__name__}: cannot be made on this machine\n")


def main() -> int:
    """Prints the table; exit code 1 when something stored is lost."""
    if can_mount() and "BOX_TROUBLES" not in os.environ:
        command = [*PRIVATE_MOUNTS, sys.executable, "-m", "tests.system.box_troubles"]
        return subprocess.run(
            command, env={**os.environ, "BOX_TROUBLES": "1"}, check=False
        ).returncode
    sys.stdout.write("| trouble | log | fault in `health` | meanwhile | stored and lost |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    lost = 0
    with tempfile.TemporaryDirectory() as name:
        for row in rows(Path(name)):
            text = f"| {row.trouble} | {row.log} | {row.health} | {row.meanwhile} | {row.lost} |\n"
            sys.stdout.write(
                re.sub(rf"{re.escape(name)}/\d+/disk|{re.escape(name)}/\d+", "…", text)
            )
            sys.stdout.flush()
            lost += row.lost
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

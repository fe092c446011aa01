"""The log, the health and the lost verdicts when the box has a fault.

`python -m tests.system.box_troubles` makes each fault with the real daemon and a real mosquitto,
and prints a table. As root it also makes those that need a separate file system or memory limit.
"""

import contextlib
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.loss.disk import PRIVATE_MOUNTS, Card, Memory, can_mount
from tests.system.fault_scenario import FaultScenario
from tests.system.memorylimit import limit, memory_group, picture_of_64_megapixels, post, used

_YEAR_S = 365.25 * 24 * 3600
_CUT_EVERY_S, _CUTTING_S = 0.3, 30.0


@dataclass(frozen=True)
class Row:
    """A row of the table. `lost`: stored verdicts that did not arrive."""

    trouble: str
    log: str
    health: str
    effect: str
    lost: int


def disk_full(folder: Path) -> Row:
    """The disk of the outbox is full, then it has room again."""
    disk = Memory(folder / "disk")
    try:
        with FaultScenario(folder, outbox=disk.folder / "state" / "outbox.db") as box:
            box.start()
            disk.fill()
            health = box.wait_for_fault("outbox: ")
            box.more()
            disk.free()
            box.wait_for_no_fault("outbox: ")
            healed = box.logged("takes verdicts again")
            box.more()
            row = "verdicts go on from memory; " + healed.partition("outbox: ")[2]
            return Row("disk full", box.logged("disk is full"), health, row, box.lost())
    finally:
        disk.close()


def disk_read_only(folder: Path) -> Row:
    """The disk is read-only, as the kernel makes it after an error of the card."""
    disk = Card(folder / "disk")
    try:
        with FaultScenario(folder, outbox=disk.folder / "state" / "outbox.db") as box:
            box.start()
            disk.break_down()
            health = box.wait_for_fault("outbox: ")
            box.more()
            box.daemon.stop()
            log = box.logged("verdicts are sent from memory")
            disk.repair()
            box.start()
            effect = "verdicts go on from memory; a repaired disk and a restart end the fault"
            return Row("disk read-only", log, health, effect, box.lost())
    finally:
        disk.close()


def clock_jumps(folder: Path) -> Row:
    """The clock jumps by ten and twenty years, with an outage of the broker."""
    offset = folder / "offset"
    folder.mkdir(parents=True, exist_ok=True)
    offset.write_bytes(bytes(8))

    def shift(years: float) -> None:
        with offset.open("r+b") as file:  # never cut short: the daemon has it mapped
            file.write(struct.pack("d", years * _YEAR_S))

    def with_shifted_clock(command: list[str]) -> list[str]:
        return [command[0], "-m", "tests.system.shifted", str(offset), command[-1]]

    with FaultScenario(folder, wrap=with_shifted_clock) as box:
        box.start()
        for years in (10, -10, 10):
            shift(years)
            box.more()
        box.broker.kill()
        before = box.daemon.last_seq()
        box.daemon.wait_for_stored(before + 20)
        shift(-10)
        box.daemon.wait_for_stored(before + 40)
        box.broker.start()
        box.more()
        shift(0)
        box.more()
        years_seen = sorted({body["captured_at"][:4] for body in box.plant.bodies("result")})
        dropped = box.plant.bodies("health")[-1]["outbox"]["dropped"]
        lost = box.lost()
    effect = (
        f"`captured_at` says {', '.join(years_seen)}; `seq` keeps the order; {dropped} dropped for "
        "their age"
    )
    return Row("clock ± 10 years, a broker away in it", "—", "—", effect, lost)


def no_network(folder: Path) -> Row:
    """The broker is away. tests.campaigns.day_of_outage runs a whole day of it."""
    with FaultScenario(folder) as box:
        box.start()
        box.broker.kill()
        health = box.wait_for_fault("broker: ")
        before = box.daemon.last_seq()
        box.daemon.wait_for_stored(before + 200)
        lines = sum("delivery: " in line for line in box.daemon.log.splitlines())
        box.broker.start()
        box.wait_for_no_fault("broker: ")
        log = box.logged("no broker answers")
        return Row(
            "no network", log, health, f"verdicts are stored; {lines} lines of log", box.lost()
        )


def many_reconnects(folder: Path) -> Row:
    """The connection is cut more than three times a second."""
    with FaultScenario(folder, by_proxy=True) as box:
        assert box.proxy is not None
        box.start()
        since, cuts = time.monotonic(), 0
        while (now := time.monotonic()) < since + _CUTTING_S:
            if now >= since + cuts * _CUT_EVERY_S:
                box.proxy.cut()
                cuts += 1
            time.sleep(0.01)
        box.more()
        lines = [line for line in box.daemon.log.splitlines() if "delivery: " in line]
        reconnects = box.plant.bodies("health")[-1]["broker"]["reconnects"]
        log = next(line for line in lines if "lost" in line)[9:]
        effect = f"{cuts} cuts, {reconnects} reconnects, {len(lines)} lines of log"
        return Row("200 cuts a minute", log, "—", effect, box.lost())


def hot(folder: Path) -> Row:
    """A thermal zone of 91 °C, mounted over the real one."""
    zones = folder / "thermal" / "thermal_zone0"
    zones.mkdir(parents=True)
    (zones / "temp").write_text("91000\n")
    subprocess.run(
        ["mount", "--bind", str(zones.parent), "/sys/class/thermal"], check=True, timeout=20
    )
    try:
        with FaultScenario(folder) as box:
            box.start()
            health = box.wait_for_fault("temperature: ")
            (zones / "temp").write_text("60000\n")
            box.wait_for_no_fault("temperature: ")
            effect = "judging goes on; the fault goes when it is cooler"
            return Row("hot CPU", "—", health, effect, box.lost())
    finally:
        subprocess.run(["umount", "/sys/class/thermal"], check=False, timeout=20)


def memory_limit(folder: Path) -> Row:
    """The kernel kills the daemon at its limit; as under systemd it is started again."""
    group = memory_group(f"edge-inspect-{os.getpid()}")
    if group is None:
        raise NotImplementedError

    def inside(command: list[str]) -> list[str]:
        return ["sh", "-c", f"echo $$ > {group}/cgroup.procs; exec {' '.join(command)}"]

    try:
        with FaultScenario(folder, wrap=inside) as box:
            box.start()
            assert box.daemon.process is not None
            limit(group, used(box.daemon.process.pid) + 48 * 2**20)
            bomb = picture_of_64_megapixels()
            with contextlib.suppress(OSError):
                post(box.web, bomb)
            code = box.daemon.process.wait(60)
            limit(group, 2**30)
            box.start()
            return Row(
                "memory limit reached",
                f"(systemd: the process was ended by signal {-code}, and is started again)",
                "`memory_low` from 90 % of the limit on",
                "no verdict until it is up again",
                box.lost(),
            )
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


Play = Callable[[Path], Row]
ANYWHERE: tuple[Play, ...] = (clock_jumps, no_network, many_reconnects)
AS_ROOT: tuple[Play, ...] = (disk_full, disk_read_only, hot, memory_limit)


def rows(folder: Path) -> Iterator[Row]:
    """One row for each fault that this machine can make."""
    for number, play in enumerate([*ANYWHERE, *(AS_ROOT if can_mount() else ())]):
        try:
            yield play(folder / str(number))
        except NotImplementedError:
            sys.stderr.write(f"{play.__name__}: cannot be made on this machine\n")


def main() -> int:
    """Prints the table; exit code 1 when a stored verdict is lost."""
    if can_mount() and "BOX_TROUBLES" not in os.environ:
        command = [*PRIVATE_MOUNTS, sys.executable, "-m", "tests.system.box_troubles"]
        return subprocess.run(
            command, env={**os.environ, "BOX_TROUBLES": "1"}, check=False
        ).returncode
    sys.stdout.write("| trouble | log | fault in `health` | effect | stored and lost |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    lost = 0
    with tempfile.TemporaryDirectory() as name:
        for row in rows(Path(name)):
            text = f"| {row.trouble} | {row.log} | {row.health} | {row.effect} | {row.lost} |\n"
            sys.stdout.write(
                re.sub(rf"{re.escape(name)}/\d+/disk|{re.escape(name)}/\d+", "…", text)
            )
            sys.stdout.flush()
            lost += row.lost
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

"""What the operator sees when the box itself is in trouble, and what is lost:
`python -m tests.system.box_troubles` plays each trouble with the real daemon and a real mosquitto
and prints a table. As root also those that need a file system or a memory limit of their own."""

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
from tests.system.memorylimit import limit, memory_group, picture_of_64_megapixels, post, used
from tests.system.stage import Stage

_YEAR_S = 365.25 * 24 * 3600
_CUT_EVERY_S, _CUTTING_S = 0.3, 30.0


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
            disk.repair()
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
    """The broker is away: what of it a day is, tests.campaigns.day_of_outage shows."""
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
    group = memory_group(f"edge-inspect-{os.getpid()}")
    if group is None:
        raise NotImplementedError

    def inside(command: list[str]) -> list[str]:
        return ["sh", "-c", f"echo $$ > {group}/cgroup.procs; exec {' '.join(command)}"]

    try:
        with Stage(folder, wrap=inside) as stage:
            stage.start()
            assert stage.daemon.process is not None
            limit(group, used(stage.daemon.process.pid) + 48 * 2**20)
            bomb = picture_of_64_megapixels()
            with contextlib.suppress(OSError):
                post(stage.web, bomb)
            code = stage.daemon.process.wait(60)
            limit(group, 2**30)
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

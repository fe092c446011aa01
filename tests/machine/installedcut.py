"""An installed box whose power is cut, again and again: does it always come back by itself?

    sh scripts/powercut.sh --installed [--cuts 20] [--seed 1]      (make test-powercut BOX=1)

The Debian package in a Debian that boots systemd (tests/machine/installed.py), on the disk that
forgets what was not flushed (tests/machine/disk.py). The power goes while the box works, boots, is
being upgraded, changes its version, or has its config.yaml edited and reloaded. After every boot
(tests/machine/watch.py, in the box) the service must be active within three times the median of
all boots, config.yaml and model the same, each installed version whole, the file system mounted for
writing without errors, the outbox whole, and every row that was ever said to be stored received or
there. At the end the box is switched off in order, and e2fsck must find nothing.
"""

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.box.machine import BoxError
from tests.machine import installed
from tests.machine.disk import CachedDisk, DiskServer
from tests.machine.powercut import Ledger, Machine, live
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Plant

_SLOWEST = 3.0  # times the median
_WRITES = 60  # the power goes with one of so many writes
_PHASE_S = 1200.0  # a whole installation, emulated, on a busy machine
_ROUND = (
    "work",
    "edit",
    "boot",
    "building",
    "switch",
    "work",
    "edit",
    "boot",
    "switched",
    "switch",
)
_CHANGES = ("building", "switched", "switch")
_DO = {"building": "upgrade", "switched": "upgrade"}


@dataclass
class Facts:
    """What must stay."""

    model: str = ""
    config: str = ""
    configs: set[str] = field(default_factory=set)


def compare(lines: list[str], facts: Facts, kind: str) -> list[str]:
    """What is wrong in the report of a boot after a cut of this kind, as sentences."""
    words = [line.split() for line in lines]
    wrong = [line for line in lines if line.startswith(("torn ", "damage "))]
    sums = {w[1]: w[2] for w in words if w[0] == "sum"}
    if not facts.model:
        facts.model, facts.config = sums["model"], sums["config"]
    if sums["model"] != facts.model:
        wrong.append("the model has changed")
    if sums["config"] != facts.config and (
        kind != "edit" or (facts.configs and sums["config"] not in facts.configs)
    ):
        wrong.append("config.yaml is neither the old one nor the new one")
    facts.config = sums["config"]
    mount = next(w[1].split(",") for w in words if w[0] == "mount")
    if "rw" not in mount:
        wrong.append("the disk is mounted for reading only")
    return wrong


def slow(took: dict[int, float]) -> list[str]:
    """Boots in which the service came late, as sentences: seconds until it was active, by boot. The
    first is none after a cut, and does what is done only once."""
    if not took:
        return ["the service was never active"]
    normal = statistics.median(took.values())
    return [
        f"boot {boot}: active after {seconds:.0f} s, normal are {normal:.0f} s"
        for boot, seconds in took.items()
        if boot > 1 and seconds > _SLOWEST * normal
    ]


def phases(machine: Machine, name: str) -> Iterator[None]:
    """Waits until the box is in this phase. Raises BoxError."""
    end = time.monotonic() + _PHASE_S
    while f"phase {name}" not in machine.lines():
        if time.monotonic() > end or not machine.is_on():
            raise BoxError(f"the box does not come to: {name}")
        yield


def cut(machine: Machine, server: DiskServer, kind: str, last_s: float, dice: random.Random) -> str:
    """Cuts the power in this moment; returns which it was."""
    began = time.monotonic()
    if kind == "boot":
        time.sleep(dice.uniform(0.05, 1.0) * last_s)
        machine.cut()
        return f"{time.monotonic() - began:.0f} s after power-on"
    if kind == "work":
        live(machine, dice)
    else:
        machine.plugged(on=dice.random() < 0.5)
        name = {"edit": "edited", "switch": "switching"}.get(kind, kind)
        for _ in phases(machine, name):
            time.sleep(0.02)
        longest = {"edit": 5.0, "switch": 15.0, "building": 120.0, "switched": 6.0}[kind]
        time.sleep(dice.uniform(0, longest))
    write = dice.randint(1, _WRITES)
    server.cut_at(write, machine.cut)
    machine.wait_for_end()
    said = [line[6:] for line in machine.lines() if line.startswith("phase ")]
    return f"write {write} after {time.monotonic() - began:.0f} s" + (
        f", {len(said)} x {said[-1]}" if said else ""
    )


def boots(cuts: int) -> Iterator[str]:
    """What is cut, boot by boot; then an orderly end."""
    for n in range(cuts):
        yield _ROUND[n % len(_ROUND)]
    yield "off"


def run(cuts: int, seed: int, disk: CachedDisk, command: list[str], box: "Outside") -> list[str]:
    """Cuts the power so many times; returns what was wrong, as sentences."""
    dice, ledger, facts = random.Random(seed), Ledger(), Facts(configs=box.configs)
    server, before = DiskServer(disk, box.folder / "disk"), "-"
    print(
        "| boot | after a cut in | active after s | version | stored so far | missing | "
        "this cut | sectors lost |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    last_wall, active = 60.0, {}
    try:
        for boot, kind in enumerate(boots(cuts), 1):
            began = time.monotonic()
            do = _DO.get(kind, kind)
            words = f"systemd.show_status=false machine.do={do}"
            if before in _CHANGES or kind == "off":
                words += " machine.look=versions"
            machine = Machine(box.folder, command, box.folder / "disk", words)
            took, version, missing, there = "-", "-", 0, {}
            try:
                if kind == "boot":
                    how = cut(machine, server, kind, last_wall, dice)
                else:
                    if not machine.wait():
                        return [
                            *ledger.problems,
                            f"boot {boot}: does not come up:\n{told(machine)}",
                        ]
                    last_wall = time.monotonic() - began
                    there, lines = machine.rows(), machine.lines()
                    ledger.problems += [
                        f"boot {boot}: {text}" for text in compare(lines, facts, before)
                    ]
                    missing = ledger.check(boot, there, box.plant)
                    took = next(line[7:] for line in lines if line.startswith("active "))
                    active[boot] = float(took)
                    version = next(line[8:] for line in lines if line.startswith("version "))
                    if kind == "off":
                        machine.plugged(on=True)
                        machine.wait_for_end()
                        how = "switched off in order"
                    else:
                        how = cut(machine, server, kind, last_wall, dice)
            finally:
                machine.cut()
                machine.wait_for_end()
            ledger.problems += [f"boot {boot}: {text}" for text in questions(machine)]
            ledger.stored |= machine.rows()
            server.wait_for_end(60)
            lost, total = disk.cut(dice.choice((0.0, 0.5)), dice)
            print(
                f"| {boot} | {before} | {took} | {version} | {len(ledger.stored)} | {missing} "
                f"| {kind}: {how} | {lost} of {total} |",
                flush=True,
            )
            # What was cut in is looked at by the first boot that gets so far.
            before = before if kind == "boot" and before in ("edit", *_CHANGES) else kind
    finally:
        server.close()
    received = {body["id"] for body in box.plant.bodies("result")}
    print(f"{len(ledger.stored)} verdicts stored, {len(received)} received, {disk.flushes} flushes")
    if not received:
        ledger.problems.append("nothing was received: this run shows nothing")
    return [*ledger.problems, *slow(active)]


def told(machine: Machine) -> str:
    """The end of its console."""
    return machine.console.read_text(encoding="utf-8", errors="replace")[-4000:]


def questions(machine: Machine) -> list[str]:
    """What the check of the file system asked a person on the console."""
    text = machine.console.read_text(encoding="utf-8", errors="replace")
    asked = re.findall(r".*(?:UNEXPECTED INCONSISTENCY|RUN fsck MANUALLY|emergency mode).*", text)
    return [line.strip() for line in asked]


@dataclass
class Outside:
    """What is never cut: broker and subscriber."""

    folder: Path
    plant: Plant
    configs: set[str]


def emulator(root: Path) -> list[str]:
    """How to emulate: with the processor's own help where it has any."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    quick = os.access("/dev/kvm", os.W_OK) and re.search(r"^flags.*\b(vmx|svm)\b", flags, re.M)
    return [
        *("qemu-system-x86_64", "-accel", "kvm" if quick else "tcg,thread=multi"),
        *("-cpu", "max", "-smp", "2", "-m", "1536", "-display", "none", "-no-reboot"),
        *("-kernel", str(sorted(root.glob("boot/vmlinuz-*"))[-1])),
        *("-initrd", str(sorted(root.glob("boot/initrd.img-*"))[-1])),
    ]


def main() -> int:
    """Exit code 1 when the box did not come back whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    work = Path(os.environ.get("MACHINE_ROOT", "/var/tmp/edge-inspect-powercut"))
    work.mkdir(parents=True, exist_ok=True)
    root, path = work / "root", work / "installed.ext4"
    if not (root / "furnished").exists() or not os.environ.get("BOX_KEEP"):
        installed.furnish(root)
        (root / "furnished").touch()
    with tempfile.TemporaryDirectory(prefix="powercut") as name:
        folder = Path(name)
        broker = Mosquitto(folder / "broker")
        broker.start()
        plant = Plant(broker.port)
        try:
            configs = installed.configure(root, broker.port)
            installed.make_disk(root, path)
            disk = CachedDisk(path)
            box = Outside(folder, plant, configs)
            problems = run(asked.cuts, asked.seed, disk, emulator(root), box)
            disk.close()
        finally:
            plant.close()
            broker.close()
    checked = subprocess.run(
        ["e2fsck", "-fn", str(path)], capture_output=True, text=True, check=False
    )
    print("e2fsck after the orderly end:", checked.stdout.splitlines()[-1])
    if checked.returncode:
        problems.append(f"e2fsck: {checked.stdout[-500:]}")
    path.unlink()
    for text in problems[:20]:
        print("BROKEN:", text)
    print("it came back whole each time" if not problems else f"{len(problems)} broken")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

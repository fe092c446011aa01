"""A box whose power is cut in mid-write, again and again: is all that was stored still there?

    sh scripts/powercut.sh [--cuts 20] [--seed 1] [--lying-disk]      (make test-powercut)

The box is an emulated machine with the daemon on its ext4 disk (tests/machine/box.py); the disk has
a write cache that a cut empties (tests/machine/disk.py); mosquitto and an independent subscriber
run outside and are never cut; the box's network cable is pulled and put back (QEMU's set_link), so
that rows wait, drain and are deleted while the power goes. After every boot the outbox must open,
the daemon must be ready, and every row that was ever reported as stored must have been received or
be in the outbox, unchanged. `--lying-disk`: flushes do nothing, so rows must be missing; exit code
0 means that they were found missing.
"""

import argparse
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.machine.digest import digest
from tests.machine.disk import CachedDisk, DiskServer
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Plant
from tests.support.waiting import wait_until

_BOOT_S = 900.0  # emulated, on a busy machine
_WRITES = 30  # the power goes with one of so many writes


@dataclass
class Ledger:
    """What was ever said to be stored: digest by (seq, id)."""

    stored: dict[tuple[int, str], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def check(self, boot: int, there: dict[tuple[int, str], str], plant: Plant) -> int:
        """After a boot: compares with what is `there` and what the subscriber has. Returns how
        many rows are missing."""
        received = {(b["seq"], b["id"]): digest(b) for b in plant.bodies("result")}
        self.stored.update({key: self.stored.get(key, value) for key, value in received.items()})
        missing = self.stored.keys() - received.keys() - there.keys()
        self.problems += [f"boot {boot}: {key} is missing" for key in sorted(missing)]
        for place, found in (("outbox", there), ("subscriber", received)):
            changed = [k for k in found if k in self.stored and found[k] != self.stored[k]]
            self.problems += [f"boot {boot}: {key} has changed ({place})" for key in changed]
        numbers = [seq for seq, _ in self.stored.keys() | there.keys()]
        if len(numbers) != len(set(numbers)):
            self.problems.append(f"boot {boot}: a seq was given twice")
        return len(missing)


class Machine:
    """One life of the box."""

    def __init__(self, folder: Path, command: list[str], disk: Path, words: str) -> None:
        """Switches it on, with its cable pulled. `words` go to the kernel."""
        self._report, self._monitor = folder / "report", folder / "monitor"
        for path in (self._report, self._monitor):
            path.unlink(missing_ok=True)
        self.console = folder / "console"
        always = "root=/dev/vda rw console=ttyS0 quiet panic=-1 net.ifnames=0"
        self._process = subprocess.Popen(
            [
                *command,
                *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,id=cable"),
                *("-drive", f"file=nbd+unix:///?socket={disk},format=raw,if=virtio"),
                *("-serial", f"file:{self.console}", "-serial", f"file:{self._report}"),
                *("-monitor", f"unix:{self._monitor},server=on,wait=off"),
                *("-append", f"{always} {words}"),
            ],
            stdin=subprocess.DEVNULL,
        )
        wait_until(self._monitor.exists, "QEMU's monitor")
        self.plugged(on=False)

    def plugged(self, *, on: bool) -> None:
        """Its network cable."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(60)
            monitor.connect(str(self._monitor))
            text = monitor.recv(4096)
            monitor.sendall(f"set_link cable {'on' if on else 'off'}\n".encode())
            while text.count(b"(qemu)") < 2:
                text += monitor.recv(4096)

    def lines(self) -> list[str]:
        """Its report so far, whole lines."""
        text = self._report.read_bytes() if self._report.exists() else b""
        return text.decode("ascii", "replace").split("\n")[:-1]

    def rows(self) -> dict[tuple[int, str], str]:
        """The rows of its report: digest by (seq, id)."""
        words = [line.split() for line in self.lines()]
        return {(int(w[1]), w[2]): w[3] for w in words if w[0] == "row" and len(w) == 4}

    def wait(self) -> bool:
        """Until it has said what was in its outbox; False when it does not get there."""
        end = time.monotonic() + _BOOT_S
        while time.monotonic() < end and self._process.poll() is None:
            lines = self.lines()
            if "ready" in lines or "dead" in lines:
                return "dead" not in lines
            time.sleep(0.1)
        return False

    def is_on(self) -> bool:
        """Whether it has power."""
        return self._process.poll() is None

    def cut(self) -> None:
        """The power goes. May be called twice."""
        self._process.send_signal(signal.SIGKILL)

    def wait_for_end(self) -> None:
        """Until it is gone. Raises TimeoutExpired."""
        self._process.wait(60)


def live(machine: Machine, chance: random.Random) -> None:
    """Some seconds of work with the cable in and out."""
    first = chance.random() < 0.5
    machine.plugged(on=first)
    time.sleep(chance.uniform(1, 4))
    machine.plugged(on=not first)
    time.sleep(chance.uniform(1, 6))


def run(
    cuts: int, seed: int, disk: CachedDisk, command: list[str], folder: Path, *, lies: bool
) -> list[str]:
    """Cuts the power so many times; returns what was wrong, as sentences."""
    chance, ledger, broker = random.Random(seed), Ledger(), Mosquitto(folder / "broker")
    server = DiskServer(disk, folder / "disk")
    broker.start()
    plant = Plant(broker.port)
    print("| boot | ready after s | rows in the outbox | stored so far | missing | sectors lost |")
    print("|---|---|---|---|---|---|", flush=True)
    try:
        for boot in range(1, cuts + 2):
            began = time.monotonic()
            words = f"init=/opt/init machine.run=tests.machine.box machine.port={broker.port}"
            machine = Machine(folder, command, folder / "disk", words)
            try:
                if not machine.wait():
                    said = machine.console.read_text(encoding="utf-8", errors="replace")[-3000:]
                    return [*ledger.problems, f"boot {boot}: the daemon does not start:\n{said}"]
                took, there = time.monotonic() - began, machine.rows()
                missing = ledger.check(boot, there, plant)
                if boot <= cuts:
                    live(machine, chance)
                    server.cut_at(chance.randint(1, _WRITES), machine.cut)
                    machine.wait_for_end()
            finally:
                machine.cut()
                machine.wait_for_end()
            ledger.stored |= machine.rows()
            server.wait_for_end(60)
            lost, total = disk.cut(chance.choice((0.0, 0.5)), chance)
            print(
                f"| {boot} | {took:.0f} | {len(there)} | {len(ledger.stored)} | {missing} "
                f"| {lost} of {total} |",
                flush=True,
            )
            if lies and missing:
                break
    finally:
        plant.close()
        broker.close()
        server.close()
    received = len({body["id"] for body in plant.bodies("result")})
    print(f"{len(ledger.stored)} verdicts stored, {received} received, {disk.flushes} flushes")
    if not received or received == len(ledger.stored):
        ledger.problems.append("rows must both wait and leave: this run shows nothing")
    return ledger.problems


def main() -> int:
    """Exit code 1 when something was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--disk", type=Path, required=True, help="an ext4 disk with the box")
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lying-disk", action="store_true", help="flushes do nothing")
    parser.add_argument("--qemu", nargs=argparse.REMAINDER, required=True, help="how to emulate")
    asked = parser.parse_args()
    lies, disk = asked.lying_disk, CachedDisk(asked.disk, lies=asked.lying_disk)
    with tempfile.TemporaryDirectory(prefix="powercut") as folder:
        problems = run(asked.cuts, asked.seed, disk, asked.qemu, Path(folder), lies=lies)
    disk.close()
    for text in problems[:20]:
        print("BROKEN:", text)
    if lies:
        print("the loss was found" if problems else "nothing was found missing")
        return 0 if any("missing" in text for text in problems) else 1
    print("nothing that was stored is missing" if not problems else f"{len(problems)} broken")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""The processors a box may have: what Debian calls them, and how a machine with one is emulated.

A root for another processor than this machine's is furnished by qemu-user: Linux hands its programs
to an emulator (binfmt_misc) for as long as that takes.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BINFMT = Path("/proc/sys/fs/binfmt_misc")


@dataclass(frozen=True, slots=True)
class Processor:
    """One of Debian's architectures, emulated.

    `arch` is Debian's name, `uname` Linux's; `machine` the options that choose board and processor;
    `model` the processor that qemu-user emulates ("" for its own choice).
    """

    arch: str
    uname: str
    machine: tuple[str, ...]
    model: str
    console: str
    packages: tuple[str, ...]

    @property
    def emulator(self) -> str:
        """The program that emulates a whole machine."""
        return f"qemu-system-{self.uname}"

    @property
    def foreign(self) -> bool:
        """Whether this machine cannot run its programs without an emulator."""
        return self.arch != native()

    @property
    def quick(self) -> bool:
        """Whether this machine's own processor helps (KVM), so that all goes at a box's pace."""
        flags = Path("/proc/cpuinfo").read_text()
        help_there = os.access("/dev/kvm", os.W_OK) and re.search(r"\b(vmx|svm)\b", flags)
        return bool(help_there) and not self.foreign

    def tools(self) -> None:
        """Installs what is missing to emulate it. Raises CalledProcessError."""
        wanted = [(self.emulator, self.packages), ("debootstrap", ("debootstrap", "e2fsprogs"))]
        if self.foreign:
            wanted.append((f"qemu-{self.uname}-static", ("qemu-user-static",)))
        missing = [p for program, ps in wanted if shutil.which(program) is None for p in ps]
        if missing:
            subprocess.run(["apt-get", "update", "-q"], check=True)
            subprocess.run(
                ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing], check=True
            )

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Within it this machine runs programs of this processor.

        Raises OSError or CalledProcessError when Linux does not take an emulator here.
        """
        handler = _BINFMT / f"qemu-{self.uname}"
        if not self.foreign or handler.exists():
            yield
            return
        if not (_BINFMT / "register").exists():
            subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)], check=True)
        told = Path(f"/usr/lib/binfmt.d/qemu-{self.uname}.conf").read_text()
        (_BINFMT / "register").write_text(told)
        try:
            yield
        finally:
            handler.write_text("-1")


# A Raspberry Pi 4's processor: libraries choose their code by what it can do.
_PI = "cortex-a72"
PROCESSORS = {
    "amd64": Processor(
        "amd64", "x86_64", ("-cpu", "max"), "", "ttyS0", ("qemu-system-x86", "seabios")
    ),
    "arm64": Processor(
        *("arm64", "aarch64", ("-M", "virt", "-cpu", _PI), _PI, "ttyAMA0"),
        packages=("qemu-system-arm",),
    ),
}


def native() -> str:
    """Debian's name for this machine's own processor."""
    said = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    )
    return said.stdout.strip()

"""A Debian of its own: a root made by debootstrap, booted with real systemd by systemd-nspawn.

Its network is its own (loopback alone), so that it neither finds nor disturbs anything of this
machine's; what it needs is copied in.
"""

import os
import pty
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.box.processor import Processor
from tests.support.waiting import wait_until

PACKAGES = (
    "systemd,systemd-sysv,dbus,python3,python3-venv,make,ca-certificates,procps,"
    "mosquitto,mosquitto-clients"
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_S = 180.0


class BoxError(Exception):
    """The box did not do what was asked of it; the text says what."""


def wait_for(what: str, look: Callable[[], object], seconds: float) -> float:
    """As `wait_until`, polled five times a second; raises BoxError."""
    try:
        return wait_until(look, what, seconds, poll_s=0.2)
    except AssertionError as error:
        raise BoxError(str(error)) from None


def new_root(
    suite: str, root: Path, packages: str = PACKAGES, processor: Processor | None = None
) -> None:
    """A fresh Debian below `root`, kept beside it as `root`.base for the next time.

    `processor`: another than this machine's. Raises BoxError when apt names no mirror or
    debootstrap fails.
    """
    base = root.with_suffix(".base")
    if not (base / "complete").exists():
        shutil.rmtree(base, ignore_errors=True)
        _debootstrap(suite, base, packages, processor)
        (base / "complete").touch()
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", str(base), str(root)], check=True)


def _debootstrap(suite: str, base: Path, packages: str, processor: Processor | None) -> None:
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    mirrors = [line.split()[0] for line in targets if line.endswith(" Debian")]
    if not mirrors:
        raise BoxError("apt names no Debian mirror; run: apt-get update")
    command = ["debootstrap", "--variant=minbase", f"--include={packages}"]
    if processor is None or not processor.foreign:
        _run_debootstrap([*command, suite, str(base), mirrors[0]])
    else:
        foreign = ["--foreign", f"--arch={processor.arch}"]
        _run_debootstrap([*command, *foreign, suite, str(base), mirrors[0]])
        _small_initrd(base)
        with processor.understood():
            _run_debootstrap(["chroot", str(base), "/debootstrap/debootstrap", "--second-stage"])
    for file in ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(file).exists():  # how this machine reaches the outside
            shutil.copy(file, f"{base}{file}")


def _small_initrd(base: Path) -> None:
    """Only what finds the disk: copying all drivers takes an emulated processor half an hour."""
    settings = {
        "etc/initramfs-tools/conf.d/box": "MODULES=list\n",
        "usr/share/initramfs-tools/modules.d/box": "virtio_pci\nvirtio_blk\ncrc32c_generic\next4\n",
    }
    for name, text in settings.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text)


def _run_debootstrap(argv: list[str]) -> None:
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode:
        raise BoxError("debootstrap: " + made.stdout[-1000:] + made.stderr[-1000:])


class Box:
    """The booted machine."""

    def __init__(self, root: Path, log: Path) -> None:
        """`root` holds its disk, `log` takes what its console says."""
        self.root = root
        self._log = log
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> float:
        """Until systemd has started everything; returns the seconds. Raises BoxError."""
        start = time.monotonic()
        self._leader = 0
        ours, theirs = pty.openpty()
        self._nspawn = subprocess.Popen(
            [
                *("systemd-nspawn", "-q", "-D", str(self.root), "-b", "--private-network"),
                *("--register=no", "--keep-unit", "--console=interactive"),
                *("--hostname=box", f"--machine=box-{os.getpid()}", "--link-journal=no"),
            ],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        threading.Thread(target=self._keep_log, args=(ours,), name="console", daemon=True).start()
        wait_for("the box has a first process", self._find_leader, BOOT_S)
        wait_for("the box is up", self._is_up, BOOT_S)
        return time.monotonic() - start

    def off(self) -> None:
        """Shuts down in order; ends it the hard way when that takes too long."""
        if self._nspawn is None:
            return
        self("systemctl poweroff", check=False)
        try:
            self._nspawn.wait(120)
        except subprocess.TimeoutExpired:
            os.kill(self._leader, signal.SIGKILL)
            self._nspawn.wait(30)
        self._nspawn = None

    def cut(self) -> None:
        """Ends every process at once, as a power cut does. The disk forgets nothing."""
        assert self._nspawn is not None
        os.kill(self._leader, signal.SIGKILL)
        self._nspawn.wait(60)
        self._nspawn = None

    def __call__(self, command: str, check: bool = True, seconds: float = 300.0) -> tuple[int, str]:
        """Runs a shell command in the box: exit code and all that it printed.

        Raises BoxError when it fails, unless `check` is False.
        """
        enter = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        return self._run([*enter, "sh", "-c", command], command, check, seconds)

    def in_root(self, command: str, seconds: float = 600.0) -> tuple[int, str]:
        """Runs a shell command in the root that is not booted, with this machine's network."""
        return self._run(["chroot", str(self.root), "sh", "-c", command], command, True, seconds)

    def _run(self, argv: list[str], command: str, check: bool, seconds: float) -> tuple[int, str]:
        environment = {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8"}
        with tempfile.TemporaryFile() as said:  # a pipe would wait for a child left behind
            try:
                ran = subprocess.run(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    env=environment,
                    check=False,
                )
                code = ran.returncode
            except subprocess.TimeoutExpired:
                code = 124
            said.seek(0)
            text = said.read().decode(errors="replace").strip()
        if check and code:
            raise BoxError(f"`{command}` ended with {code}: {text[-1500:]}")
        return code, text

    def _is_up(self) -> bool:
        said = self("systemctl is-system-running", check=False)[1]
        return said in ("running", "degraded")

    def _find_leader(self) -> bool:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise BoxError(f"systemd-nspawn ended at once; see {self._log}")
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text()
        for child in children.split():
            try:
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    self._leader = int(child)
            except OSError:
                continue
        return self._leader > 0

    def _keep_log(self, terminal: int) -> None:
        with self._log.open("ab") as log:
            while True:
                try:
                    log.write(os.read(terminal, 65536))
                except OSError:  # the box is off
                    return
                log.flush()

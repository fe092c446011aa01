"""In the installed box of `scripts/powercut.sh --installed`: says on the second serial line how the
box came up, then every row of its outbox, and does what the power is to be cut in.

Runs on Debian's own Python, so that it speaks also when the installation is broken; reads with
SQLite alone. Lines: `active SECONDS` (since the kernel's start), `version`, `sum NAME HEX`, `torn
FILE`, `mount`, `damage`, `all`, `row SEQ ID DIGEST`, `ready`, `phase NAME`, `dead`.
"""

import contextlib
import csv
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
import tty
from collections import defaultdict
from pathlib import Path

from tests.machine.digest import digest

OPT, STATE = Path("/opt/edge-inspect"), Path("/var/lib/edge-inspect")
CONFIG, MODEL = Path("/etc/edge-inspect/config.yaml"), STATE / "models/model.tflite"
_ACTIVE_S, _PAUSE_S, _BATCH = 600.0, 0.1, 500
_WORD = "machine.do="


def say(line: str) -> None:
    """One line, at once."""
    os.write(1, (line + "\n").encode())


def shown(name: str) -> str:
    """A property of the service."""
    argv = ["systemctl", "show", "-P", name, "edge-inspect"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def come_up() -> bool:
    """Waits for the service; False, and its log on the console, when it does not come up."""
    while shown("ActiveState") != "active":
        if time.monotonic() > _ACTIVE_S:
            return False
        time.sleep(_PAUSE_S)
    say(f"active {int(shown('ActiveEnterTimestampMonotonic')) / 1e6:.1f}")
    return True


def look(*, versions: bool) -> None:
    """What a cut could have spoiled; `versions`: each of their files too, which takes its time."""
    current = OPT / "current"
    say(f"version {current.readlink() if current.is_symlink() else '-'}")
    for name, path in (("config", CONFIG), ("model", MODEL)):
        say(f"sum {name} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    for version in OPT.iterdir() if versions else ():
        if not version.is_symlink() and (version / "complete").exists():
            for file in torn(version):
                say(f"torn {file}")
    words = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    say("mount " + next(line.split()[3] for line in words if line.split()[1] == "/"))
    for device in Path("/sys/fs/ext4").glob("*/errors_count"):
        if device.read_text(encoding="ascii").strip() != "0":
            say(f"damage ext4 of {device.parent.name} counts errors")
    for path in STATE.glob("outbox.db.damaged*"):
        say(f"damage {path.name}")


def torn(version: Path) -> list[str]:
    """Files of an installed version that have not the size that their packages' lists say."""
    found, sizes = [], defaultdict[Path, set[int]](set)
    (site,) = version.glob("lib/python3*/site-packages")
    for record in site.glob("*.dist-info/RECORD"):
        rows = list(csv.reader(record.read_text(encoding="utf-8").splitlines()))
        if not rows:
            found.append(str(record))
        for name, _, size in rows:
            if size:  # setuptools is there twice, ensurepip's and ours, one over the other
                sizes[site / name].add(int(size))
    for path, right in sizes.items():
        if not path.exists() or path.stat().st_size not in right:
            found.append(str(path))
    for path in (*site.glob("*.dist-info"), version / "share"):
        if not any(path.iterdir()):
            found.append(str(path))
    for name in ("share/edge-inspect.service", "share/install.sh", "bin/edge-inspect"):
        if not (version / name).stat().st_size:
            found.append(str(version / name))
    return found


def read() -> None:
    """Says each row once, for ever. As the service's user: SQLite makes files beside the outbox."""
    last, told, checked = 0, False, False
    say("all")
    while True:
        rows = []
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(_open()) as db:
            if not checked:
                (answer,) = db.execute("PRAGMA quick_check").fetchone()
                if answer != "ok":
                    say(f"damage outbox: {answer}")
                checked = True
            rows = db.execute(
                "SELECT seq, body FROM outbox WHERE seq > ? AND parked IS NULL "
                "ORDER BY seq LIMIT ?",
                (last, _BATCH),
            ).fetchall()
            for last, text in rows:
                body = json.loads(text)
                say(f"row {last} {body['id']} {digest(body)}")
            if len(rows) < _BATCH and not told:
                say("ready")
                told = True
        time.sleep(0 if len(rows) == _BATCH else 0.05)


def _open() -> sqlite3.Connection:
    return sqlite3.connect(f"file:{STATE / 'outbox.db'}?mode=ro", uri=True, timeout=30)


def edit() -> None:
    """An operator changes a value and reloads, again and again."""
    n = 30
    while True:
        old, n = n, 61 - n
        change = f"s/^  keepalive_s: {old} /  keepalive_s: {n} /"
        subprocess.run(["sed", "-i", change, str(CONFIG)], check=True)
        subprocess.run(["chgrp", "edge-inspect", str(CONFIG)], check=True)
        say("phase edited")
        subprocess.run(["systemctl", "reload", "edge-inspect"], check=False)
        time.sleep(0.3)


def switch() -> None:
    """To the version before, and forth again."""
    while True:
        say("phase switching")
        _run("edge-inspect-setup", "rollback")


def upgrade() -> None:
    """A package that is not installed; when all are, one that is not the running one. Then the
    next."""
    while True:
        there = {
            path.parent.name for path in OPT.glob("*/complete") if not path.parent.is_symlink()
        }
        package = next_package(Path("/root"), there, (OPT / "current").readlink().name)
        before: Path | None = (OPT / "current").readlink()
        say("phase building")
        with Path("/dev/ttyS0").open("wb") as console:
            dpkg = subprocess.Popen(["dpkg", "-i", str(package)], stdout=console, stderr=console)
            while dpkg.poll() is None:
                if before and (OPT / "current").readlink() != before:
                    say("phase switched")
                    before = None
                time.sleep(0.02)
        say("phase installed" if dpkg.returncode == 0 else "phase refused")


def next_package(folder: Path, there: set[str], current: str) -> Path:
    """Of the packages in `folder` the first that is not `there`, else the first that is not
    `current`; both are names of versions."""

    def rank(package: Path) -> tuple[bool, bool]:
        known = package.with_suffix(".id").read_text(encoding="utf-8").strip()
        return current.startswith(known), any(name.startswith(known) for name in there)

    return min(sorted(folder.glob("*.deb")), key=rank)


def _run(*argv: str) -> None:
    with Path("/dev/ttyS0").open("wb") as console:
        subprocess.run(argv, stdout=console, stderr=console, check=False)


def off() -> None:
    """An orderly end."""
    say("phase off")
    subprocess.run(["systemctl", "poweroff"], check=True)


def main() -> int:
    """Until the power is cut; 1 when the service does not come up."""
    words = Path("/proc/cmdline").read_text(encoding="utf-8").split()
    versions = "machine.look=versions" in words
    todo = next(word.removeprefix(_WORD) for word in words if word.startswith(_WORD))
    with Path("/dev/ttyS1").open("wb", buffering=0) as serial:
        tty.setraw(serial.fileno())
        os.dup2(serial.fileno(), 1)
    if not come_up():
        _run("journalctl", "-b", "-u", "edge-inspect", "--no-pager", "-n", "40")
        _run("systemctl", "status", "edge-inspect", "--no-pager")
        say("dead")
        return 1
    look(versions=versions)
    argv = [sys.executable, "-m", "tests.machine.watch", "read"]
    with subprocess.Popen(argv, user="edge-inspect", group="edge-inspect"):
        {"edit": edit, "switch": switch, "upgrade": upgrade, "off": off}.get(todo, _idle)()
    return 0


def _idle() -> None:
    while True:
        time.sleep(60)


if __name__ == "__main__":
    if sys.argv[1:] == ["read"]:
        read()
    sys.exit(main())

"""Kills `edge-inspect models` while it installs, activates or rolls back. Checks that afterwards
exactly one working version is active: the one that was asked, or the one before.

    python -m tests.campaigns.model_kills --kills 200

Each command is a fork, so that a kill costs milliseconds; `kill -9` comes at a random time within
what the command takes. Every tenth time `edge-inspect check` then starts a process of its own and
judges the golden pictures. Exit code 1 when a rule is broken.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from edge.__main__ import main as edge_inspect
from edge.config import load_config
from edge.core.errors import EdgeInspectError
from edge.models import NameRecord, open_store, read_model
from tests.support.model_versions import write_version

CONFIG = """station: line1
cameras: [{id: top, source: "test:"}]
model: {path: redness}
models: {path: versions}
outbox: {path: state/outbox.db}
"""
COMMANDS = ("install", "activate", "rollback")
_VERSIONS = 6


class Box:
    """A config.yaml with versions; what a command may do, and what must hold after a kill."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self._folder, self._rng = folder, rng
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG, encoding="utf-8")
        self._store = open_store(load_config(self.config))
        self._titles: list[str] = []
        for _ in range(2):
            self._in_a_child(self._install())
            self._in_a_child(["activate", self._titles[-1]])

    def killed(self, command: str, after: float) -> tuple[bool, str, list[str]]:
        """Runs a command, and kills it after this number of seconds. Whether it was killed, what is
        active then, and the broken rules."""
        arguments = self._install() if command == "install" else [command]
        if command == "activate":
            arguments.append(self._rng.choice(self._installed()))
        before = self._store.record("redness")
        asked = self._asked(command, arguments, before)
        killed = self._in_a_child(arguments, after)
        return killed, *self._state(before, asked)

    def check(self) -> str | None:
        """The complaint of a process of its own; None: it judged the golden pictures."""
        found = subprocess.run(
            [sys.executable, "-m", "edge", "check", "--offline", "-c", str(self.config)],
            capture_output=True,
            text=True,
            check=False,
        )
        return None if "model: OK (redness" in found.stdout else found.stdout + found.stderr

    def _install(self) -> list[str]:
        number = self._rng.randrange(10**9)
        self._titles.append(f"redness@{number}")
        file = write_version(self._folder / "x.tflite", str(number))
        return ["install", str(file)]

    def _installed(self) -> list[str]:
        return [version.sha256 for version in self._store.versions()]

    @staticmethod
    def _asked(command: str, arguments: list[str], before: NameRecord) -> str | None:
        match command:
            case "activate":
                return arguments[-1]
            case "rollback":
                return before.previous
            case _:
                return before.active

    def _state(self, before: NameRecord, asked: str | None) -> tuple[str, list[str]]:
        """As a start finds it: what is active, and the broken rules."""
        try:
            self._store.clean()
            sha256 = read_model(load_config(self.config)).sha256
        except EdgeInspectError as error:
            return "none", [f"no working version: {error}"]
        rules = []
        if sha256 not in (before.active, asked):
            rules.append(f"{sha256[:12]} is active, neither asked nor the one before")
        rules += [f"left over: {path}" for path in self._store.folder.glob("staging/*")]
        for version in self._store.versions():
            if sha256 != version.sha256 and len(self._store.versions()) > _VERSIONS:
                self._store.remove(version)
        active = self._store.record("redness").active
        return "before" if active == before.active else "asked", rules

    def _in_a_child(self, arguments: list[str], kill_after: float | None = None) -> bool:
        """Whether it was killed, after this many seconds."""
        child = os.fork()
        if child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            os._exit(edge_inspect(["models", *arguments, "-c", str(self.config)]))
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)


def main() -> int:
    """Prints the counts. Exit code 1 when a rule is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    broken: list[str] = []
    killed: Counter[str] = Counter()
    active: Counter[tuple[str, str]] = Counter()
    since = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        box = Box(Path(name), rng)
        longest = dict.fromkeys(COMMANDS, 0.3)  # seconds
        while sum(killed.values()) < arguments.kills:
            command = rng.choice(COMMANDS)
            was, found, rules = box.killed(command, rng.uniform(0.0, longest[command]))
            # Kills that come too late teach nothing: the time adapts to the load.
            longest[command] *= 1.1 if was else 0.9
            killed[command] += was
            active[command, found] += was
            broken += [f"{command}: {rule}" for rule in rules]
            if was and sum(killed.values()) % 10 == 0 and (complaint := box.check()) is not None:
                broken.append(f"check: {complaint}")
    print(f"{sum(killed.values())} kills in {time.monotonic() - since:.0f} s: ", end="")
    for command in COMMANDS:
        print(
            f"{killed[command]} of {command} ({active[command, 'asked']} times the asked version "
            f"was active, {active[command, 'before']} times the one before); ",
            end="",
        )
    print(f"{len(broken)} rules broken")
    for rule in broken[:20]:
        print(rule)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

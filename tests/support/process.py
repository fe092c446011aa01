"""`tests.support.faulty_daemon` as a process: what a test asks of it and sees of it."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.plant import Daemon


class FaultyDaemon(Daemon):
    """The daemon in whose process a test makes a step fail or kills a thread."""

    def __init__(self, folder: Path, kind: str) -> None:
        """`kind`: see `tests.support.faulty_daemon`. The caller writes config.yaml."""
        self.folder, self.config = folder, folder / "config.yaml"
        self.outbox = folder / "state" / "outbox.db"
        self.process: subprocess.Popen[bytes] | None = None
        self._kind = kind

    def start(self, *options: str, **environ: str) -> None:
        """Starts it without waiting."""
        module = ["-m", "tests.support.faulty_daemon", self._kind, str(self.folder)]
        self._start([*options, *module], environ)

    def write(self, name: str, text: str) -> None:
        """Writes one of its control files, atomically."""
        part = self.folder / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.rename(self.folder / name)

    def faults(self) -> list[dict[str, Any]]:
        """What has failed so far, in order."""
        path = self.folder / "fault.log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def threads(self) -> list[str]:
        """The names of its threads."""
        names: list[str] = json.loads((self.folder / "threads").read_text(encoding="utf-8"))
        return names

    def high(self) -> dict[str, int]:
        """How often each output pin was seen high."""
        path = self.folder / "high"
        if not path.exists():
            return {str(pin): 0 for pin in range(28)}
        counts: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
        return counts

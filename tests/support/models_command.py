"""`edge-inspect models` for the config.yaml of a daemon, and what its store holds."""

import subprocess
import sys
from typing import Any

from edge.config import load_config
from edge.core.errors import EXIT_DONE
from edge.models import ModelStore, ProbationRecord, open_store
from tests.support.model_versions import write_version
from tests.support.plant import Daemon
from tests.support.waiting import wait_until


class ModelsCommand:
    """Works on the versions of the model `redness`."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def run(self, *arguments: str, code: int = EXIT_DONE) -> str:
        """What the command prints, on whichever stream."""
        command = [sys.executable, "-m", "edge", "models", *arguments]
        found = subprocess.run(
            [*command, "-c", str(self._daemon.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert found.returncode == code, found.stderr
        return found.stdout or found.stderr

    def install(self, version: str, **changes: Any) -> None:
        """Writes and installs a version."""
        file = write_version(self._daemon.folder / f"{version}.tflite", version, **changes)
        self.run("install", str(file))

    @property
    def store(self) -> ModelStore:
        """As the daemon finds it."""
        return open_store(load_config(self._daemon.config, check_files=False))

    def probation(self) -> ProbationRecord | None:
        """The last one."""
        return self.store.probation("redness")

    def wait_for_probation(self, version: str, *states: str) -> ProbationRecord:
        """Waits until the probation of a version has one of these states."""
        sha256 = self.store.find(f"redness@{version}").sha256

        def reached() -> bool:
            one = self.probation()
            return one is not None and one.sha256 == sha256 and one.state in states

        wait_until(reached, f"the probation of {version} is {' or '.join(states)}")
        found = self.probation()
        assert found is not None
        return found

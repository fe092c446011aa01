"""A short run of the lossfinder against the daemon as it is: `make lossfinder` makes long ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loss.schedule import BOX, BROKER, CLOCK, DISK, NET
from tests.support.mosquitto import mosquitto_program

pytestmark = pytest.mark.broker

ROUNDS = 12
# Damaged files and full caps are left to `make lossfinder`: what is lost there needs weighing, and
# a test must not be refused by chance.
KINDS = ",".join({**NET, **BROKER, **BOX, **CLOCK, **DISK})


@pytest.mark.parametrize("level", ["strict", "balanced"])
def test_nothing_is_lost_whatever_happens(tmp_path: Path, level: str) -> None:
    """Exit code 0 after rounds of all that can happen to net, broker, box, clock and disk; under CI
    always the same rounds. Times are not judged: the machine may be busy."""
    mosquitto_program()
    command = [sys.executable, "-m", "tests.loss", "--rounds", str(ROUNDS), "--level", level]
    done = subprocess.run(
        [
            *command,
            "--kinds",
            KINDS,
            "--keep",
            str(tmp_path / "kept"),
            "--any-age",
            *(["--seed", "1"] if os.environ.get("CI") else []),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 verdicts lost" in done.stdout


def test_a_fault_that_there_is_not_is_named(tmp_path: Path) -> None:
    """A mistyped kind gets one sentence, which lists the kinds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.loss", "--rounds", "1", "--kinds", "net_cutt"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "net_cutt" in done.stderr
    assert "net_stall" in done.stderr
    assert "Traceback" not in done.stderr

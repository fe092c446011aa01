"""The lossfinder finds what it is there for: boxes that are broken on purpose, each in a few
rounds; and it says nothing against the real one in the same rounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mosquitto import mosquitto_program

pytestmark = pytest.mark.broker

ROUNDS = 12  # that the real box has to stand
# A broken one is mostly found in the first ten. A kill must meet it in the right moment, and where
# the machine is busy that may take longer: the search ends at the first find.
SEARCH = 200
SEED = 31
# Faults that hurt a box with one of these defects; all others would only take time.
KINDS = "box_kill,box_stop,net_cut,net_stall"
LOST = "stored and are nowhere"
STUCK = "wait in the outbox and are not sent"
TWICE = "stand for two ids each"


def lossfinder(keep: Path, rounds: int, *options: str) -> tuple[int, str]:
    """Exit code and output."""
    mosquitto_program()
    command = [sys.executable, "-m", "tests.loss", "--rounds", str(rounds), "--seed", str(SEED)]
    done = subprocess.run(
        [*command, "--kinds", KINDS, "--keep", str(keep), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("broken", "sentences"),
    [
        ("forgets_at_publish", [LOST]),
        # what is not committed when its acknowledgement comes is never taken out
        ("reports_before_the_commit", [LOST, STUCK]),
        # what was lost on its way the first time comes only under the new id
        ("gives_a_new_id_on_resend", [TWICE, LOST]),
        ("reuses_numbers", [TWICE]),
    ],
)
def test_each_broken_box_is_found(tmp_path: Path, broken: str, sentences: list[str]) -> None:
    """Exit code 1, the broken rule in words, and a folder with the schedule and the box's log."""
    code, output = lossfinder(tmp_path / "kept", SEARCH, "--broken", broken, "--first")
    assert code == 1, output
    assert any(sentence in output for sentence in sentences), output
    kept = next((tmp_path / "kept").iterdir())
    assert json.loads((kept / "schedule.json").read_text())["events"]
    assert (kept / "box.log").stat().st_size


def test_the_real_box_passes_the_same_rounds(tmp_path: Path) -> None:
    """Exit code 0, nothing lost, nothing kept."""
    code, output = lossfinder(tmp_path / "kept", ROUNDS)
    assert code == 0, output
    assert f"{ROUNDS} rounds" in output
    assert "0 verdicts lost" in output
    assert not list((tmp_path / "kept").iterdir())

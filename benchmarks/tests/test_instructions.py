"""The number of instructions a frame costs, and the rule that CI holds it to."""

import os
import re
import shutil
from pathlib import Path

import pytest

from benchmarks.frameway import Course
from benchmarks.instructions import STAGES, WAYS, Counts, key, slopes, verdict
from tests.support.mosquitto import mosquitto_program

_LOOPS = 5000  # of some tens of instructions each: a tenth of a frame and more


def _counts(scale: float = 1.0, **changed: float) -> Counts:
    """Of both ways alike; `changed` scales a stage further."""
    each: dict[str, int] = {s: int(100_000 * scale * changed.get(s, 1.0)) for s in STAGES}
    each["all"] = sum(each.values())
    return {f"{way}/{one}": number for way in WAYS for one, number in each.items()}


def test_a_growth_of_15_percent_fails_and_names_the_stage() -> None:
    """More than a tenth above the tracked number is exit code 1, with the stage that grew most
    first, and how to accept it."""
    code, said = verdict(_counts(outbox=1.6), _counts())
    assert code == 1
    assert "1.15 times" in said
    assert re.search(r"By stage: outbox \+60,000, ", said)
    assert "ACCEPT=1" in said


def test_a_growth_within_a_tenth_passes() -> None:
    """Exactly a tenth is allowed, and nothing is asked for."""
    code, said = verdict(_counts(1.1), _counts())
    assert code == 0
    assert "ACCEPT" not in said


def test_a_fall_asks_for_a_new_number() -> None:
    """What became cheaper by more than a tenth passes, and the file is to be renewed: else it could
    grow back unnoticed."""
    code, said = verdict(_counts(0.85), _counts())
    assert code == 0
    assert "ACCEPT=1" in said


def test_one_way_that_grew_is_enough() -> None:
    """Frames that come one by one and those at full speed are held to their own numbers."""
    grown = _counts() | {"together/all": int(_counts()["together/all"] * 1.11)}
    assert verdict(grown, _counts())[0] == 1


def test_an_unknown_machine_is_said_and_passes() -> None:
    """Without a number for this processor and Python there is nothing to compare with."""
    code, said = verdict(_counts(), None)
    assert code == 0
    assert key() in said


@pytest.mark.slow
def test_what_is_added_to_a_frame_is_counted(tmp_path: Path) -> None:
    """Empty loops in each verdict's delivery raise the number by what they cost, and the same way
    twice costs the same to a hundredth."""
    if shutil.which("valgrind") is None:
        reason = "valgrind is not installed; run: sudo apt-get install valgrind"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (under CI nothing may be skipped)")
        pytest.skip(reason)
    mosquitto_program()
    once = Course("judge")
    found = slopes(tmp_path / "run", [once, once, Course("judge", burden=_LOOPS)])
    assert abs(found[1] - found[0]) < found[0] / 100
    assert 5 * _LOOPS < found[2] - found[0] < 200 * _LOOPS

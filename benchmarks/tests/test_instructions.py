"""The number of instructions per frame, and the limit that CI checks."""

import os
import re
import shutil
from pathlib import Path

import pytest

from benchmarks.frameway import Course
from benchmarks.instructions import STAGES, WAYS, Counts, key, slopes, verdict

_LOOPS = 5000  # some tens of instructions each: a tenth of a frame or more


def _counts(scale: float = 1.0, **changed: float) -> Counts:
    """The same for both ways; `changed` scales a stage further."""
    each: dict[str, int] = {s: int(100_000 * scale * changed.get(s, 1.0)) for s in STAGES}
    each["all"] = sum(each.values())
    return {f"{way}/{one}": number for way in WAYS for one, number in each.items()}


def test_a_growth_of_15_percent_fails_and_names_the_stage() -> None:
    """More than a tenth above the tracked number is exit code 1. The message names the stage that
    grew most first, and how to accept the number."""
    code, said = verdict(_counts(outbox=1.45), _counts())
    assert code == 1
    assert "1.15 times" in said
    assert re.search(r"By stage: outbox \+45,000, ", said)
    assert "ACCEPT=1" in said


def test_a_growth_within_a_tenth_passes() -> None:
    """Exactly a tenth is allowed, and the message asks for nothing."""
    code, said = verdict(_counts(1.1), _counts())
    assert code == 0
    assert "ACCEPT" not in said


def test_a_fall_asks_for_a_new_number() -> None:
    """A number that fell by more than a tenth passes. The message asks for a new tracked number:
    otherwise it could grow back unnoticed."""
    code, said = verdict(_counts(0.85), _counts())
    assert code == 0
    assert "ACCEPT=1" in said


def test_one_way_that_grew_is_enough() -> None:
    """Single frames and batches are each compared with their own number."""
    grown = _counts() | {"together/all": int(_counts()["together/all"] * 1.11)}
    assert verdict(grown, _counts())[0] == 1


def test_an_unknown_machine_passes_with_a_message() -> None:
    """Without a number for this processor and Python there is nothing to compare with."""
    code, said = verdict(_counts(), None)
    assert code == 0
    assert key() in said


@pytest.mark.slow
def test_additional_work_is_counted(tmp_path: Path) -> None:
    """Empty loops in each delivery raise the number by their cost. The same course twice gives the
    same number within one percent."""
    if shutil.which("valgrind") is None:
        reason = "valgrind is not installed; run: sudo apt-get install valgrind"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (under CI nothing may be skipped)")
        pytest.skip(reason)
    once = Course("judge")
    found = slopes(tmp_path / "run", [once, once, Course("judge", burden=_LOOPS)])
    assert abs(found[1] - found[0]) < found[0] / 100
    assert 5 * _LOOPS < found[2] - found[0] < 200 * _LOOPS

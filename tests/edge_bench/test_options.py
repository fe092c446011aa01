"""From the command line to the plan."""

import argparse
import importlib.util
import os
from pathlib import Path

import pytest

from edge.core.errors import EdgeInspectError
from edge.core.terms import Runtime
from edge_bench import options
from edge_bench.plan import PARTS, SIZES, Plan


def plan(*argv: str, wanted: Runtime = "auto") -> Plan:
    """The plan of a command line."""
    parser = argparse.ArgumentParser()
    options.add_options(parser)
    return options.plan_from(parser.parse_args(argv), wanted)


@pytest.fixture(autouse=True)
def _both_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})


def test_by_default_all_is_measured_five_times() -> None:
    """Every part and size, workers up to the cores, both interpreters."""
    said = plan()
    assert (said.rounds, said.parts, said.sizes) == (5, PARTS, tuple(SIZES))
    assert said.workers == (1, 2)
    assert said.interpreters == ("litert", "tflite-runtime")


def test_options_choose() -> None:
    """Lists are in the order of the bench, numbers are taken over `--quick`'s."""
    said = plan("--quick", "--only", "idle,start", "--sizes", "4k, vga", "--rounds", "3")
    assert (said.parts, said.sizes, said.rounds) == (("start", "idle"), ("vga", "4k"), 3)
    assert plan("--workers", "2,1,2").workers == (1, 2)
    assert said.live_size == "vga"


def test_the_configured_interpreter_comes_first() -> None:
    """All parts but throughput run on the first."""
    assert plan(wanted="tflite-runtime").interpreters == ("tflite-runtime", "litert")


def test_what_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` measures what there is and says how to get the rest; with none it refuses."""
    missing = {"tflite_runtime"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else object()
    )
    said = plan()
    assert said.interpreters == ("litert",)
    assert "pip install '.[tflite-runtime]'" in said.notes[0]
    missing.add("ai_edge_litert")
    with pytest.raises(EdgeInspectError, match="pip install ai-edge-litert"):
        plan()


def test_own_pictures_have_their_own_size(tmp_path: Path) -> None:
    """Unless a size is asked for."""
    assert plan("--pictures", str(tmp_path)).sizes == ("own",)
    assert plan("--pictures", str(tmp_path), "--sizes", "vga").sizes == ("vga",)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--only", "speed"], r"--only: must be some of .*\(got 'speed'\)"),
        (["--sizes", "8k"], r"--sizes: must be some of vga,1080p,4k \(got '8k'\)"),
        (["--rounds", "0"], r"--rounds: must be at least 1 \(got 0\)"),
        (["--seconds", "0"], r"--seconds: must be at least 0.1 \(got 0\)"),
        (["--workers", "two"], r"--workers: must be numbers from 1 to 16, like 1,2 \(got 'two'\)"),
        (["--workers", "1,17"], r"--workers: must be numbers .*\(got '1,17'\)"),
        (["--pictures", "/not/there"], "--pictures /not/there: there is no such folder or file"),
        (["--picture", "stages.png"], "--picture stages.png: must end in .svg"),
        (["--json", "/not/there/a.json"], "its folder cannot be written"),
        (["--interpreters", "onnx"], r"--interpreters: must be some of .*\(got 'onnx'\)"),
    ],
)
def test_mistakes_are_sentences(argv: list[str], said: str) -> None:
    """Each wrong value is refused with the option, what it must be, and what it was."""
    with pytest.raises(EdgeInspectError, match=said):
        plan(*argv)

"""Options of the command line and the plan from them."""

import argparse
import importlib.util
import os
from pathlib import Path

import pytest

from edge.core.errors import EdgeInspectError
from edge.core.terms import Runtime
from edge_bench import options
from edge_bench.plan import SECTIONS, SIZES, Plan


def plan(*argv: str, wanted: Runtime = "auto") -> Plan:
    """The plan for a command line."""
    parser = argparse.ArgumentParser()
    options.add_options(parser)
    return options.plan_from(parser.parse_args(argv), wanted)


@pytest.fixture(autouse=True)
def _both_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})


def test_the_default_is_five_rounds_of_everything() -> None:
    """The default has all measurements, sizes, interpreters, and workers up to the cores."""
    found = plan()
    assert (found.rounds, found.sections, found.sizes) == (5, SECTIONS, tuple(SIZES))
    assert found.workers == (1, 2)
    assert found.interpreters == ("litert", "tflite-runtime")


def test_options_override_the_defaults() -> None:
    """Lists keep the order of the bench; numbers override those of `--quick`."""
    found = plan("--quick", "--only", "idle,start", "--sizes", "4k, vga", "--rounds", "3")
    assert (found.sections, found.sizes, found.rounds) == (("start", "idle"), ("vga", "4k"), 3)
    assert plan("--workers", "2,1,2").workers == (1, 2)
    assert found.live_size == "vga"


def test_the_configured_interpreter_comes_first() -> None:
    """The configured interpreter is the first; most measurements use only the first."""
    assert plan(wanted="tflite-runtime").interpreters == ("tflite-runtime", "litert")


def test_a_missing_interpreter_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` measures the installed interpreters and notes the rest; without any it refuses."""
    missing = {"tflite_runtime"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else object()
    )
    found = plan()
    assert found.interpreters == ("litert",)
    assert "pip install '.[tflite-runtime]'" in found.notes[0]
    missing.add("ai_edge_litert")
    with pytest.raises(EdgeInspectError, match="pip install ai-edge-litert"):
        plan()


def test_user_pictures_keep_their_size(tmp_path: Path) -> None:
    """The user's pictures keep their size unless --sizes is given."""
    assert plan("--pictures", str(tmp_path)).sizes == ("own",)
    assert plan("--pictures", str(tmp_path), "--sizes", "vga").sizes == ("vga",)


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--only", "speed"], r"--only: must be some of .*\(got 'speed'\)"),
        (["--sizes", "8k"], r"--sizes: must be some of vga,1080p,4k \(got '8k'\)"),
        (["--rounds", "0"], r"--rounds: must be at least 1 \(got 0\)"),
        (["--seconds", "0"], r"--seconds: must be at least 0.1 \(got 0\)"),
        (["--workers", "two"], r"--workers: must be numbers from 1 to 16, like 1,2 \(got 'two'\)"),
        (["--workers", "1,17"], r"--workers: must be numbers .*\(got '1,17'\)"),
        (["--pictures", "/not/there"], "--pictures /not/there: no such folder or file"),
        (["--picture", "stages.png"], "--picture stages.png: must end in .svg"),
        (["--json", "/not/there/a.json"], "its folder is not writable"),
        (["--interpreters", "onnx"], r"--interpreters: must be some of .*\(got 'onnx'\)"),
    ],
)
def test_a_wrong_value_is_a_sentence(argv: list[str], sentence: str) -> None:
    """The sentence has the option, the rule and the value."""
    with pytest.raises(EdgeInspectError, match=sentence):
        plan(*argv)

"""The options of `edge-inspect bench`, and the plan that results from them."""

import argparse
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from edge.core.errors import EdgeInspectError
from edge.core.terms import Runtime
from edge_bench.plan import FORMATS, OWN, SECTIONS, SIZES, Plan

T = TypeVar("T", bound=str)
N = TypeVar("N", int, float)

RUNTIMES: dict[Runtime, tuple[str, str]] = {  # module, and the command that installs it
    "litert": ("ai_edge_litert", "pip install ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime", "pip install '.[tflite-runtime]'"),
}
_MAX_WORKERS = 16
_QUICK: dict[str, Any] = {
    "rounds": 1,
    "seconds": 1.0,
    "sizes": ("vga", "1080p"),
    "formats": ("jpeg",),
    "latency_frames": 25,
    "rates": (10.0, 30.0),
    "rate_seconds": 2.0,
    "live_cameras": (1, 2),
    "memory_seconds": 2.0,
    "idle_seconds": 4.0,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options to the parser of the command."""
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="the configuration (default: config.yaml in this folder)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of everything, one to two minutes"
    )
    parser.add_argument(
        "--only", metavar="NAMES", help=f"measure only some of {','.join(SECTIONS)}"
    )
    parser.add_argument("--sizes", metavar="SIZES", help=f"some of {','.join(SIZES)}")
    parser.add_argument("--formats", metavar="FORMATS", help=f"some of {','.join(FORMATS)}")
    parser.add_argument(
        "--workers",
        default="auto",
        metavar="N,…",
        help="numbers of workers to measure (auto: from 1 to the number of cores)",
    )
    parser.add_argument(
        "--interpreters", default="auto", metavar="NAMES", help=f"some of {','.join(RUNTIMES)}"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds per median (default: 5)")
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="seconds of work in each round of throughput (default: 4)",
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="PATH", help="a folder of your pictures, or a video"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all figures, with every round"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write the stages as an .svg")


def plan_from(arguments: argparse.Namespace, configured: Runtime) -> Plan:
    """The plan for the options. `configured` is model.interpreter of config.yaml.

    Raises EdgeInspectError with the option.
    """
    plan = Plan(rounds=5, seconds=4.0, sizes=tuple(SIZES))
    if arguments.quick:
        plan = replace(plan, **_QUICK)
    pictures: Path | None = arguments.pictures
    if pictures is not None:
        if not pictures.exists():
            raise EdgeInspectError(f"--pictures {pictures}: no such folder or file")
        plan = replace(plan, pictures=pictures.resolve(), sizes=(OWN,))
    if arguments.sizes is not None:
        plan = replace(plan, sizes=_select("--sizes", arguments.sizes, tuple(SIZES)))
    if arguments.formats is not None:
        plan = replace(plan, formats=_select("--formats", arguments.formats, FORMATS))
    if arguments.only is not None:
        plan = replace(plan, sections=_select("--only", arguments.only, SECTIONS))
    if arguments.rounds is not None:
        plan = replace(plan, rounds=_check_minimum("--rounds", arguments.rounds, 1))
    if arguments.seconds is not None:
        plan = replace(plan, seconds=_check_minimum("--seconds", arguments.seconds, 0.1))
    _refuse_unwritable(arguments)
    interpreters, notes = _interpreters(arguments.interpreters, configured)
    return replace(
        plan,
        workers=_workers(arguments.workers),
        interpreters=interpreters,
        notes=notes,
    )


def _select(option: str, value: str, known: Sequence[T]) -> tuple[T, ...]:
    """The names of a comma-separated list, in the order of `known`."""
    names = [name.strip() for name in value.split(",")]
    for name in names:
        if name not in known:
            raise EdgeInspectError(f"{option}: must be some of {','.join(known)} (got {name!r})")
    return tuple(name for name in known if name in names)


def _check_minimum(option: str, value: N, minimum: float) -> N:
    if value < minimum:
        raise EdgeInspectError(f"{option}: must be at least {minimum:g} (got {value:g})")
    return value


def _refuse_unwritable(arguments: argparse.Namespace) -> None:
    """Checks the output files before the measurement, which takes a quarter of an hour."""
    for option, path in (("--json", arguments.json), ("--picture", arguments.picture)):
        if path is None:
            continue
        if option == "--picture" and path.suffix.lower() != ".svg":
            raise EdgeInspectError(f"--picture {path}: must end in .svg")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise EdgeInspectError(f"{option} {path}: its folder is not writable; give another")


def _workers(value: str) -> tuple[int, ...]:
    if value == "auto":
        cores = min(len(os.sched_getaffinity(0)), _MAX_WORKERS)
        return tuple(sorted({n for n in (1, 2, 4, 8, cores) if n <= cores}))
    numbers = [number.strip() for number in value.split(",")]
    if not all(n.isdigit() and 1 <= int(n) <= _MAX_WORKERS for n in numbers):
        raise EdgeInspectError(
            f"--workers: must be numbers from 1 to {_MAX_WORKERS}, like 1,2 (got {value!r})"
        )
    return tuple(sorted({int(n) for n in numbers}))


def _interpreters(value: str, configured: Runtime) -> tuple[tuple[Runtime, ...], tuple[str, ...]]:
    """The interpreters to measure, the configured one first, and a note on each missing one."""
    names = list(RUNTIMES)
    if configured in names:
        names.sort(key=lambda name: name != configured)
    if value != "auto":
        return _select("--interpreters", value, names), ()
    installed = tuple(name for name in names if importlib.util.find_spec(RUNTIMES[name][0]))
    notes = tuple(
        f"{name} is not installed and not measured; run: {RUNTIMES[name][1]}"
        for name in names
        if name not in installed
    )
    if not installed:
        raise EdgeInspectError("; ".join(notes))
    return installed, notes

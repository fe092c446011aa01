"""The options of `edge-inspect bench`, and the plan that they mean."""

import argparse
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from edge.core.errors import EdgeInspectError
from edge.core.terms import Runtime
from edge_bench.plan import FORMATS, OWN, PARTS, SIZES, Plan

T = TypeVar("T", bound=str)
N = TypeVar("N", int, float)

RUNTIMES: dict[Runtime, tuple[str, str]] = {  # module, and the command that installs it
    "litert": ("ai_edge_litert", "pip install ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime", "pip install '.[tflite-runtime]'"),
}
_MOST_WORKERS = 16
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
    """Adds them to the parser of the command."""
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="the configuration (default: config.yaml in this folder)",
    )
    parser.add_argument("--quick", action="store_true", help="one round of all, one to two minutes")
    parser.add_argument("--only", metavar="PARTS", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--sizes", metavar="SIZES", help=f"some of {','.join(SIZES)}")
    parser.add_argument("--formats", metavar="FORMATS", help=f"some of {','.join(FORMATS)}")
    parser.add_argument(
        "--workers", default="auto", metavar="N,…", help="how many workers judge (auto: 1 to cores)"
    )
    parser.add_argument(
        "--interpreters", default="auto", metavar="NAMES", help=f"some of {','.join(RUNTIMES)}"
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="number of rounds for each median (5)"
    )
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="of work in each round of throughput (4)"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="PATH", help="a folder of your pictures, or a video"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures, with every round")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="the stages as an .svg")


def plan_from(arguments: argparse.Namespace, wanted: Runtime) -> Plan:
    """The plan that the options ask for. `wanted` is model.interpreter of config.yaml. Raises
    EdgeInspectError with the option."""
    plan = Plan(rounds=5, seconds=4.0, sizes=tuple(SIZES))
    if arguments.quick:
        plan = replace(plan, **_QUICK)
    pictures: Path | None = arguments.pictures
    if pictures is not None:
        if not pictures.exists():
            raise EdgeInspectError(f"--pictures {pictures}: there is no such folder or file")
        plan = replace(plan, pictures=pictures.resolve(), sizes=(OWN,))
    if arguments.sizes is not None:
        plan = replace(plan, sizes=_chosen("--sizes", arguments.sizes, tuple(SIZES)))
    if arguments.formats is not None:
        plan = replace(plan, formats=_chosen("--formats", arguments.formats, FORMATS))
    if arguments.only is not None:
        plan = replace(plan, parts=_chosen("--only", arguments.only, PARTS))
    if arguments.rounds is not None:
        plan = replace(plan, rounds=_at_least("--rounds", arguments.rounds, 1))
    if arguments.seconds is not None:
        plan = replace(plan, seconds=_at_least("--seconds", arguments.seconds, 0.1))
    _refuse_unwritable(arguments)
    interpreters, notes = _interpreters(arguments.interpreters, wanted)
    return replace(
        plan,
        workers=_workers(arguments.workers),
        interpreters=interpreters,
        notes=notes,
    )


def _chosen(option: str, said: str, known: Sequence[T]) -> tuple[T, ...]:
    """The names of a list with commas, in the order of `known`."""
    names = [name.strip() for name in said.split(",")]
    for name in names:
        if name not in known:
            raise EdgeInspectError(f"{option}: must be some of {','.join(known)} (got {name!r})")
    return tuple(name for name in known if name in names)


def _at_least(option: str, said: N, least: float) -> N:
    if said < least:
        raise EdgeInspectError(f"{option}: must be at least {least:g} (got {said:g})")
    return said


def _refuse_unwritable(arguments: argparse.Namespace) -> None:
    """Before a quarter of an hour is spent on what cannot be kept."""
    for option, path in (("--json", arguments.json), ("--picture", arguments.picture)):
        if path is None:
            continue
        if option == "--picture" and path.suffix.lower() != ".svg":
            raise EdgeInspectError(f"--picture {path}: must end in .svg")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise EdgeInspectError(f"{option} {path}: its folder cannot be written; name another")


def _workers(said: str) -> tuple[int, ...]:
    if said == "auto":
        cores = min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
        return tuple(sorted({n for n in (1, 2, 4, 8, cores) if n <= cores}))
    numbers = [number.strip() for number in said.split(",")]
    if not all(n.isdigit() and 1 <= int(n) <= _MOST_WORKERS for n in numbers):
        raise EdgeInspectError(
            f"--workers: must be numbers from 1 to {_MOST_WORKERS}, like 1,2 (got {said!r})"
        )
    return tuple(sorted({int(n) for n in numbers}))


def _interpreters(said: str, wanted: Runtime) -> tuple[tuple[Runtime, ...], tuple[str, ...]]:
    """Which are measured, the configured one first; and a note on each that is not there."""
    names = list(RUNTIMES)
    if wanted in names:
        names.sort(key=lambda name: name != wanted)
    if said != "auto":
        return _chosen("--interpreters", said, names), ()
    there = tuple(name for name in names if importlib.util.find_spec(RUNTIMES[name][0]))
    notes = tuple(
        f"{name} is not installed and not measured; run: {RUNTIMES[name][1]}"
        for name in names
        if name not in there
    )
    if not there:
        raise EdgeInspectError("; ".join(notes))
    return there, notes

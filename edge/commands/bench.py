"""`edge-inspect bench`: what the whole daemon costs on this box, beside a frame's bare work."""

import argparse
import json
import sys
from pathlib import Path

from edge.bench.options import plan_from
from edge.bench.report import run
from edge.bench.stagespicture import draw
from edge.bench.stand import Stand
from edge.bench.table import table
from edge.config import load_config
from edge.errors import EXIT_DONE, EXIT_NO


def bench(arguments: argparse.Namespace) -> int:
    """Measures, prints the tables, writes what is asked for. Exit code 1 when a run was no
    measurement. Raises EdgeInspectError."""
    config_path: Path = arguments.config
    config = load_config(config_path)
    plan = plan_from(arguments, config.model.interpreter)
    with Stand(config, plan, _tell) as stand:
        report = run(stand)
    _tell("")
    sys.stdout.write(table(report))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.picture is not None:
        arguments.picture.write_text(draw(report), encoding="utf-8")
    return EXIT_NO if report["problems"] else EXIT_DONE


def _tell(what: str) -> None:
    """What is being measured: for a person who waits, on one line of a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()

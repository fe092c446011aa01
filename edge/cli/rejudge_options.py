"""The options of `explain` and `rejudge`. Imports nothing heavy before a command runs."""

import argparse
from pathlib import Path
from typing import Any


def add_evidence_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Adds both commands. `commands`: of argparse; `config`: the parser of `-c`."""
    explain = commands.add_parser(
        "explain", parents=[config], help="judge a kept picture again, and compare the score"
    )
    explain.add_argument("ids", nargs="+", metavar="ID", help="of a verdict")
    rejudge = commands.add_parser(
        "rejudge", parents=[config], help="what another model or other thresholds would change"
    )
    rejudge.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="of pictures (default: the archive)"
    )
    rejudge.add_argument("--since", metavar="T", help="only later pictures: 2026-11-30, 8h, 7d")
    rejudge.add_argument("--model", type=Path, metavar="FILE", help="default: that of config.yaml")
    rejudge.add_argument("--reject-at", type=float, metavar="X")
    rejudge.add_argument("--review-from", type=float, metavar="X")
    rejudge.add_argument("--json", type=Path, metavar="FILE", help="all figures, and each picture")
    rejudge.add_argument(
        "--sheet",
        type=Path,
        default=Path("rejudge.png"),
        metavar="FILE",
        help="contact sheet of the pictures that flip (default: rejudge.png)",
    )


def run_rejudge(arguments: argparse.Namespace) -> int:
    """Runs `rejudge`. Raises EdgeInspectError."""
    from edge.cli.rejudge import RejudgeOptions, rejudge

    options = RejudgeOptions(
        folder=arguments.folder,
        since=arguments.since,
        model=arguments.model,
        reject_at=arguments.reject_at,
        review_from=arguments.review_from,
        json=arguments.json,
        sheet=arguments.sheet,
    )
    return rejudge(options, arguments.config)

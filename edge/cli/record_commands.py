"""The options of the commands over the box's records: history, show, label, estimate, export."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_QUERY = {
    "since": ("T", "from this time: 2026-11-30, 2026-11-30T14:00, today, 8h (hours ago), 7d"),
    "until": ("T", "before this time"),
    "camera": ("ID", "of this camera"),
    "verdict": ("V", "pass, review, fail or error"),
    "label": ("L", "the label that the model gave"),
    "truth": ("L", "the label that a person gave"),
    "part": ("ID", "the part id of the trigger"),
    "why": ("W", "its picture is kept because of: verdict, near_threshold or sample"),
    "recipe": ("N", "the number of the recipe"),
    "limit": ("N", "at most this number (default: 100; 0: all)"),
}


def add_record_commands(commands: "Commands", config: argparse.ArgumentParser) -> None:
    """Adds the five commands."""
    history = commands.add_parser("history", parents=[config], help="stored verdicts, newest first")
    for name, (metavar, text) in _QUERY.items():
        history.add_argument(f"--{name}", metavar=metavar, help=text)
    history.add_argument("--unlabelled", action="store_const", const="true", help="it has no label")
    form = history.add_mutually_exclusive_group()
    form.add_argument(
        "--json", dest="form", action="store_const", const="json", help="a result body a line"
    )
    form.add_argument(
        "--csv", dest="form", action="store_const", const="csv", help="for a spreadsheet"
    )
    history.set_defaults(form="table")

    show = commands.add_parser(
        "show", parents=[config], help="one verdict with its labels and picture"
    )
    show.add_argument("id", metavar="ID", help="an id, or a unique beginning of 8 digits or more")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="its picture with region and score"
    )

    label = commands.add_parser(
        "label", parents=[config], help="store a person's label of verdicts"
    )
    label.add_argument(
        "words", nargs="+", metavar="ID", help="ids, and then the label (with --undo only ids)"
    )
    label.add_argument("--undo", action="store_true", help="take back the last label of each")
    label.add_argument("--by", metavar="NAME", help="name of the person (default: your user)")
    label.add_argument("--note", metavar="TEXT", help="the reason, stored with the label")

    estimate = commands.add_parser(
        "estimate", parents=[config], help="escape and false-reject rate of the running line"
    )
    estimate.add_argument("--since", metavar="T", help="from this time, as for history")
    estimate.add_argument("--json", action="store_true", help="as JSON")
    _add_export(commands, config)


def _add_export(commands: "Commands", config: argparse.ArgumentParser) -> None:
    export = commands.add_parser(
        "export", parents=[config], help="kept pictures as a data set that edge-train reads"
    )
    export.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="a new or empty folder"
    )
    export.add_argument(
        "--labelled", action="store_true", help="only pictures that a person labelled"
    )
    export.add_argument(
        "--verdict",
        choices=("pass", "review", "fail", "error"),
        help="only pictures of this verdict",
    )
    export.add_argument("--since", metavar="T", help="from this time, as for history")
    export.add_argument(
        "--format",
        dest="form",
        choices=("dataset", "label-studio", "csv"),
        default="dataset",
        help="dataset: class folders and manifest.csv (%(default)s); the others: pictures/ with "
        "tasks.json or pictures.csv",
    )


def run_record_command(arguments: argparse.Namespace) -> int:
    """Runs one of the five commands. Returns the exit code."""
    match arguments.command:
        case "history":
            from edge.cli.history import history

            given = {name: getattr(arguments, name) for name in (*_QUERY, "unlabelled")}
            fields = {name: text for name, text in given.items() if text is not None}
            return history(arguments.config, fields, arguments.form)
        case "show":
            from edge.cli.show import show

            return show(arguments.config, arguments.id, arguments.output, as_json=arguments.json)
        case "label":
            from edge.cli.label import label, undo

            said = undo if arguments.undo else label
            return said(arguments.config, arguments.words, arguments.by, arguments.note)
        case "export":
            from edge.cli.export import ExportRequest, export
            from edge.plant import ExportChoice

            choice = ExportChoice(arguments.labelled, arguments.verdict)
            request = ExportRequest(arguments.output, choice, arguments.since, arguments.form)
            return export(arguments.config, request)
        case _:
            from edge.cli.estimate import estimate

            return estimate(arguments.config, arguments.since, as_json=arguments.json)

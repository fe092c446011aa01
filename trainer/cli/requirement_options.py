"""The command line options for the requirements of a plant."""

import argparse

from trainer.evaluation import Requirements
from trainer.evaluation.requirements import parse_share


def add_requirement_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options to a parser."""
    add = parser.add_argument_group(
        "requirements of the plant",
        "The test set must show each limit at 95 % confidence, else exit code 1.",
    ).add_argument
    add("--max-escape", type=_share, metavar="SHARE", help="of the defects, e.g. 0.5%%")
    add("--max-false-reject", type=_share, metavar="SHARE", help="of the good parts, e.g. 2%%")
    add("--escape-cost", type=_cost, metavar="COST", help="of one defective part that passes")
    add("--reject-cost", type=_cost, metavar="COST", help="of one good part that fails")
    add("--defect-share", type=_share, metavar="SHARE", help="on the line; weighs the costs")
    add(
        "--allow-unshown",
        action="store_true",
        help="let a limit set the thresholds although the test set does not show it: for a trial",
    )


def requirements_from(args: argparse.Namespace) -> Requirements:
    """The requirements from the options. Raises EdgeInspectError for a contradiction."""
    return Requirements(
        max_escape=args.max_escape,
        max_false_reject=args.max_false_reject,
        escape_cost=args.escape_cost,
        reject_cost=args.reject_cost,
        defect_share=args.defect_share,
        allow_unshown=args.allow_unshown,
    )


def _share(text: str) -> float:
    try:
        return parse_share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).replace("%", "%%")) from None


def _cost(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no cost above 0")
    return value

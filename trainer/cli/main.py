"""edge-train: parses the command line, runs the command and returns the exit code."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edge import __version__
from edge.core.errors import EXIT_DONE, EXIT_INTERNAL, EdgeInspectError, RefusedError
from edge.core.output import prepare_output

EXIT_INTERRUPTED = 130  # the exit code of a shell for a program that Ctrl-C ended
EPILOG = """\
commands other than training:
  edge-train audit DATASET...         copies, leaks, wrong labels in a data set
  edge-train elpv -o DIR              solar-cell pictures to try it with
  edge-train paint DATASET -o DIR     a set with painted defects, for a start without real ones
  edge-train compare RUN_A RUN_B      two runs side by side on the same test set
  edge-train evaluate MODEL DATASET   the figures of a .keras or .tflite file
  edge-train report RUN DATASET       report.html of a run again, with --tflite FILE
(see `edge-train COMMAND --help`; write ./NAME for a data set with the name of a command)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns the exit code: 0, 1, 2, or 70 for an internal error."""
    prepare_output()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return run_command(_parse(arguments))
    except EdgeInspectError as error:
        sys.stderr.write(f"edge-train: {error}\n")
        return error.exit_code
    except SystemExit as error:  # argparse: 0 after --help, 2 after a usage error
        return int(error.code or 0)
    except KeyboardInterrupt:
        sys.stderr.write("edge-train: stopped; run the same command again to resume\n")
        return EXIT_INTERRUPTED
    except Exception:  # noqa: BLE001 - the outermost level: any other error is internal
        traceback.print_exc()
        sys.stderr.write("edge-train: this is a fault of edge-train; please report it\n")
        return EXIT_INTERNAL


def _parse(arguments: list[str]) -> argparse.Namespace:
    if arguments and arguments[0] == "audit":
        from trainer.cli.audit import audit_parser

        return audit_parser().parse_args(arguments[1:])
    commands = {
        "compare": _compare_parser,
        "elpv": _elpv_parser,
        "paint": _paint_parser,
        "evaluate": _evaluate_parser,
        "report": _report_parser,
    }
    if arguments and arguments[0] in commands:
        return commands[arguments[0]]().parse_args(arguments[1:])
    from trainer.cli.options import check_training_options

    parser = train_parser()
    args = parser.parse_args(arguments)
    check_training_options(parser, args)
    if args.test_from is not None and len(args.datasets) == 1:
        parser.error("--test-from chooses one of several data sets; name more than one")
    return args


def train_parser() -> argparse.ArgumentParser:
    """The command line of a training. Imports nothing heavy."""
    from trainer.cli.options import add_training_options
    from trainer.cli.requirement_options import add_requirement_options
    from trainer.device_latency.latency_budget import add_latency_options

    parser = argparse.ArgumentParser(
        prog="edge-train",
        description="Trains a network on a folder of pictures and measures it on the test set.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command="train")
    parser.add_argument("--version", action="version", version=f"edge-inspect {__version__}")
    parser.add_argument(
        "datasets",
        metavar="DATASET",
        type=Path,
        nargs="+",
        help="{train,test}/{ok,<defect>...}/ or {ok,<defect>...}/, with manifest.csv or without; "
        "several are trained on together, as RUN/data",
    )
    parser.add_argument("-o", dest="run", metavar="RUN", type=Path, required=True, help="folder")
    add_training_options(parser)
    parser.add_argument(
        "--test-from",
        metavar="DATASET",
        type=Path,
        help="of several data sets: the only one with test pictures; figures stay comparable",
    )
    parser.add_argument("--ok-label", default="ok", help="the class of good parts (%(default)s)")
    parser.add_argument("--name", help="of the model; the data set's folder name if not given")
    parser.add_argument(
        "--seeds", type=_seed_count, default=1, help="trainings, for the spread (%(default)s)"
    )
    parser.add_argument(
        "--allow-leaks", action="store_true", help="train although test has parts of train"
    )
    add_requirement_options(parser)
    add_latency_options(parser)
    return parser


def _elpv_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-train elpv",
        description="Makes a data set of the solar cells in the package elpv-dataset.",
    )
    parser.set_defaults(command="elpv")
    parser.add_argument("-o", dest="target", metavar="DIR", type=Path, required=True)
    parser.add_argument(
        "--cells",
        choices=("both", "mono", "poly"),
        default="both",
        help="mono- or polycrystalline cells, as one plant makes them, or both (%(default)s)",
    )
    return parser


def _paint_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-train paint",
        description="Makes a data set of good pictures, some with painted defects, for "
        "--network one-class when there is no real defect yet.",
    )
    parser.set_defaults(command="paint")
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="good pictures only")
    parser.add_argument("-o", dest="target", metavar="DIR", type=Path, required=True)
    parser.add_argument("--ok-label", default="ok", help="the class of good parts (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    return parser


def _evaluate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-train evaluate",
        description="Evaluates a model on the test set of a data set and prints the figures.",
    )
    parser.set_defaults(command="evaluate")
    parser.add_argument("model", metavar="MODEL", type=Path, help=".keras or .tflite")
    parser.add_argument("dataset", metavar="DATASET", type=Path)
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path)
    return parser


def _compare_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-train compare",
        description="Compares two runs on their test set: differences with 95 % intervals. Exit "
        "code 1 when they were tested on different pictures.",
    )
    parser.set_defaults(command="compare")
    parser.add_argument("first", metavar="RUN_A", type=Path, help="folder that edge-train -o wrote")
    parser.add_argument("second", metavar="RUN_B", type=Path)
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path)
    return parser


def _report_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-train report",
        description="Writes RUN/report.html again, with the converted model's figures if given.",
    )
    parser.set_defaults(command="report")
    parser.add_argument("run", metavar="RUN", type=Path, help="folder that edge-train -o wrote")
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the data set of the run")
    parser.add_argument("--tflite", metavar="FILE", type=Path, help="model file from edge-convert")
    return parser


def run_command(args: argparse.Namespace) -> int:
    """Runs the parsed command and returns the exit code. Raises EdgeInspectError."""
    if args.command == "elpv":
        from trainer.data.elpv import make_elpv

        made = make_elpv(args.target, kind=None if args.cells == "both" else args.cells)
        sys.stdout.write(f"{args.target}: {'made' if made else 'is there already, complete'}\n")
        return EXIT_DONE
    if args.command == "paint":
        return _make_synthetic_set(args)
    if args.command == "audit":
        from trainer.cli.audit import run_audit

        return run_audit(args)
    if args.command == "evaluate":
        from trainer.evaluation import evaluate_model_file

        evaluation = evaluate_model_file(args.model, args.dataset, args.json_file)
        sys.stdout.write(f"\n{evaluation.as_text()}\n")
        return _refuse_or_done(evaluation.refusals())
    if args.command == "compare":
        from trainer.core import write_json
        from trainer.report.run_comparison import compare_runs

        comparison = compare_runs(args.first, args.second)
        if args.json_file is not None:
            write_json(args.json_file, comparison.as_json())
        sys.stdout.write(f"{comparison.as_text()}\n")
        return EXIT_DONE
    if args.command == "report":
        from trainer.report.build import build_report

        sys.stdout.write(f"{build_report(args.run, args.dataset, args.tflite)}\n")
        return EXIT_DONE
    return _train(args)


def _make_synthetic_set(args: argparse.Namespace) -> int:
    from trainer.data.synthetic_set import SYNTHETIC_NOTE, make_synthetic_set

    made = make_synthetic_set(args.dataset, args.target, args.ok_label, args.seed)
    text = ", ".join(f"{count} in {folder}" for folder, count in made.items())
    sys.stdout.write(
        f"{args.target}: {text}\n{SYNTHETIC_NOTE}\n"
        f"next: edge-train {args.target} -o RUN --network one-class\n"
    )
    return EXIT_DONE


def _train(args: argparse.Namespace) -> int:
    from trainer.cli.options import training_request
    from trainer.cli.requirement_options import requirements_from
    from trainer.report.build import build_report
    from trainer.training.run import train
    from trainer.training.seeds import spread_text, train_seeds

    root = _one_dataset(args)
    train_into = partial(
        train,
        root,
        ok_label=args.ok_label,
        name=args.name or args.datasets[0].resolve().name or None,
        requirements=requirements_from(args),
        allow_leaks=args.allow_leaks,
    )
    evaluation = train_into(args.run, training_request(args))
    spread = (
        f"{spread_text(train_seeds(args.run, args.seeds, train_into))}\n" if args.seeds > 1 else ""
    )
    build_report(args.run, root)
    sys.stdout.write(
        f"\n{evaluation.as_text()}\n\n{spread}written        {args.run}, with report.html\n"
    )
    return _refuse_or_done(evaluation.refusals())


def _one_dataset(args: argparse.Namespace) -> Path:
    """The data set to train on; several are merged into a folder of the run."""
    from trainer.data.merged_set import merge_plan, read_sources, write_merged
    from trainer.training.run_folder import MERGED, prepare_run

    roots: list[Path] = args.datasets
    if len(roots) == 1:
        return roots[0]
    sources = read_sources(roots, args.ok_label)
    pictures = merge_plan(sources, test_from=args.test_from)
    for root in roots:
        prepare_run(args.run, root)
    target: Path = args.run / MERGED
    write_merged(target, sources, pictures)
    return target


def _seed_count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 20:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 20")
    return value


def _refuse_or_done(refusals: Sequence[str]) -> int:
    """The exit code of success; raises RefusedError with the reasons not to use the model."""
    if refusals:
        raise RefusedError("; ".join(refusals))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())

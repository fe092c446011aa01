"""edge-train: argv to command to exit code."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from edge import __version__
from edge.errors import EXIT_DONE, EXIT_INTERNAL, EdgeInspectError, RefusedError

EXIT_INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
EPILOG = """\
commands other than training:
  edge-train elpv -o DIR              solar-cell pictures to try it with
  edge-train evaluate MODEL DATASET   the figures of a .keras or .tflite file
(`edge-train COMMAND --help` says more; a data set named like a command is given as ./NAME)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns the exit code: 0, 1, 2, or 70 for a fault of ours."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(_parse(given))
    except EdgeInspectError as error:
        sys.stderr.write(f"edge-train: {error}\n")
        return error.exit_code
    except SystemExit as error:  # argparse: 0 after --help, 2 after a usage error
        return int(error.code or 0)
    except KeyboardInterrupt:
        sys.stderr.write("edge-train: stopped; nothing was changed\n")
        return EXIT_INTERRUPTED
    except Exception:  # noqa: BLE001 - the outermost loop: whatever is left is a fault of ours
        traceback.print_exc()
        sys.stderr.write("edge-train: this is a fault of edge-train; please report it\n")
        return EXIT_INTERNAL


def _parse(given: list[str]) -> argparse.Namespace:
    commands = {"elpv": _elpv_parser, "evaluate": _evaluate_parser}
    if given and given[0] in commands:
        return commands[given[0]]().parse_args(given[1:])
    return _train_parser().parse_args(given)


def _train_parser() -> argparse.ArgumentParser:
    from trainer.fit import Recipe
    from trainer.network import NETWORKS
    from trainer.wishes import add_wishes

    usual = Recipe()
    parser = argparse.ArgumentParser(
        prog="edge-train",
        description="Trains a network on a folder of pictures and measures it on the test part.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command="train")
    parser.add_argument("--version", action="version", version=f"edge-inspect {__version__}")
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        type=Path,
        help="{train,test}/{ok,<defect>...}/ or {ok,<defect>...}/, with manifest.csv or without",
    )
    parser.add_argument("-o", dest="run", metavar="RUN", type=Path, required=True, help="folder")
    parser.add_argument("--network", choices=list(NETWORKS), default=usual.network)
    parser.add_argument(
        "--epochs", type=_positive, default=usual.epochs, help="at most (%(default)s)"
    )
    parser.add_argument("--batch", type=_positive, default=usual.batch, help="(%(default)s)")
    parser.add_argument("--seed", type=_seed, default=usual.seed, help="(%(default)s)")
    parser.add_argument("--ok-label", default="ok", help="the class of good parts (%(default)s)")
    parser.add_argument("--name", help="of the model; the data set's folder name if not given")
    add_wishes(parser)
    return parser


def _elpv_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-train elpv",
        description="Makes a data set of the solar cells in the package elpv-dataset.",
    )
    parser.set_defaults(command="elpv")
    parser.add_argument("-o", dest="target", metavar="DIR", type=Path, required=True)
    return parser


def _evaluate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-train evaluate",
        description="Judges a data set's test part with a model and prints how good it is.",
    )
    parser.set_defaults(command="evaluate")
    parser.add_argument("model", metavar="MODEL", type=Path, help=".keras or .tflite")
    parser.add_argument("dataset", metavar="DATASET", type=Path)
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path)
    return parser


def _run(args: argparse.Namespace) -> int:
    if args.command == "elpv":
        from trainer.elpv import make_elpv

        made = make_elpv(args.target)
        sys.stdout.write(f"{args.target}: {'made' if made else 'is there already, complete'}\n")
        return EXIT_DONE
    if args.command == "evaluate":
        from trainer.measure import measure

        judged = measure(args.model, args.dataset, args.json_file)
        sys.stdout.write(f"\n{judged.as_text()}\n")
        return _answer(judged.refusals())
    from trainer.fit import Recipe
    from trainer.run import train
    from trainer.wishes import wish_of

    recipe = Recipe(network=args.network, epochs=args.epochs, batch=args.batch, seed=args.seed)
    judged = train(args.dataset, args.run, recipe, args.ok_label, args.name, wish_of(args))
    sys.stdout.write(f"\n{judged.as_text()}\n\nwritten        {args.run}\n")
    return _answer(judged.refusals())


def _answer(refusals: Sequence[str]) -> int:
    """Done, or no: raises RefusedError with every reason why the model must not judge parts."""
    if refusals:
        raise RefusedError("; ".join(refusals))
    return EXIT_DONE


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 4294967295")
    return value


if __name__ == "__main__":
    sys.exit(main())

"""edge-convert: argv → conversion or description → exit code."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from converter.calibrate import CALIBRATION_PICTURES
from converter.convert import Request, convert
from converter.gate import Limits
from converter.report import conversion_text, model_text
from converter.source import SCALINGS, Said
from edge.errors import EXIT_DONE, EXIT_INTERNAL, EXIT_NO, EdgeInspectError
from edge.inspection.modelfile import load_model_file


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0 done, 1 refused, 2 usage, 70 an internal fault."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["show"]:
            return _show(arguments[1:])
        return _convert(arguments)
    except SystemExit as stop:  # argparse, which has said its sentence
        return stop.code if isinstance(stop.code, int) else EXIT_DONE
    except EdgeInspectError as error:
        sys.stderr.write(f"edge-convert: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("edge-convert: stopped; nothing was written\n")
        return EXIT_NO
    except Exception:  # noqa: BLE001 - the outermost door: a fault of ours gets its own exit code
        traceback.print_exc()
        sys.stderr.write("edge-convert: an internal fault; report it with the lines above\n")
        return EXIT_INTERNAL


def _convert(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    request = Request(
        model=given.model,
        data=given.data,
        output=given.output,
        said=Said(given.name, given.labels, given.ok_label, given.scaling),
        model_version=given.model_version,
        calibration=given.calibration,
        limits=Limits(max_flips=given.max_flips / 100),
    )
    _say(conversion_text(convert(request, _say)))
    return EXIT_DONE


def _show(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="edge-convert show", description="Prints what a model file says of itself."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a .tflite file")
    _say(model_text(load_model_file(parser.parse_args(arguments).file)))
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-convert",
        description="Turns a trained Keras model into the one int8 file that a box judges with, "
        "and refuses when it would judge differently.",
        epilog="edge-convert show FILE prints what a model file says of itself.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="model.keras, as edge-train wrote it")
    add("--data", type=Path, required=True, help="the data set that it was trained on")
    add("-o", "--output", type=Path, required=True, metavar="NAME.tflite")
    add("--name", type=_text, help="name of the model in every verdict (default: the model's own)")
    add("--model-version", type=_text, help="default: 12 digits of the SHA-256 of the network")
    add(
        "--calibration",
        type=_number(int, 1, 100_000),
        default=CALIBRATION_PICTURES,
        metavar="N",
        help="training pictures that set the int8 ranges (default: %(default)s)",
    )
    add(
        "--max-flips",
        type=_number(float, 0, 100),
        default=Limits().max_flips * 100,
        metavar="PERCENT",
        help="verdicts that may flip between pass and fail (default: %(default)s)",
    )
    others = parser.add_argument_group("for models that edge-train did not make")
    others.add_argument("--labels", type=_labels, metavar="A,B", help="in the order of outputs")
    others.add_argument("--ok-label", type=_text, help="the class of good parts (default: ok)")
    others.add_argument(
        "--scaling",
        choices=tuple(SCALINGS),
        help="pixel values the network takes; inside: 0 to 255, it scales them itself",
    )
    return parser


def _text(value: str) -> str:
    if not 1 <= len(value.strip()) <= 200:
        raise argparse.ArgumentTypeError(f"{value!r} must have 1 to 200 characters")
    return value.strip()


def _labels(value: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in value.split(","))
    if len(labels) < 2 or not all(labels) or len(set(labels)) != len(labels):
        raise argparse.ArgumentTypeError(f"{value!r} must be two or more different names: ok,dent")
    return labels


def _number(kind: type[float], low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = kind(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{value!r} must be a number from {low} to {high}")
        return number

    return parse


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

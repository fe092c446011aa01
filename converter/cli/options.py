"""The argument parsers of edge-convert's commands."""

import argparse
from collections.abc import Callable
from pathlib import Path

from converter.quantization import CALIBRATION_PICTURES, SCHEMES
from converter.selection import GateLimits
from converter.tflite.runtimes import PYTHON_VARIABLE
from edge.inspection import SCALINGS
from trainer.device_latency.latency_budget import add_latency_options


def convert_parser() -> argparse.ArgumentParser:
    """The parser of a conversion, the command without a name."""
    parser = argparse.ArgumentParser(
        prog="edge-convert",
        description="Converts a trained Keras model into the model file of a box. Refuses a "
        "file whose verdicts would differ from those of the model.",
        epilog="edge-convert show FILE prints the description in a model file; edge-convert "
        "compare A B --data DIR shows which pictures two models judge differently; edge-convert "
        "figures -o FILE measures this box, for --on FILE.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a .keras or .h5 file, or a SavedModel's folder")
    add("--data", type=Path, required=True, help="the data set of the training")
    add("-o", "--output", type=Path, required=True, metavar="NAME.tflite")
    add("--name", type=_text, help="name of the model in every verdict (default: the model's own)")
    add("--model-version", type=_text, help="default: 12 digits of the SHA-256 of the network")
    add(
        "--scheme",
        choices=SCHEMES,
        help="try only this scheme (default: the first scheme that passes the gate)",
    )
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
        default=GateLimits().max_flips * 100,
        metavar="PERCENT",
        help="verdicts that may flip between pass and fail (default: %(default)s)",
    )
    add("--report", type=Path, metavar="FILE.html", help="default: NAME.html beside the output")
    add(
        "--allow-unlearned",
        action="store_true",
        help="write the file although the model has not learned; it passes no part",
    )
    add_latency_options(parser)
    _add_runtimes(parser)
    _add_foreign_options(parser)
    return parser


def _add_runtimes(parser: argparse.ArgumentParser) -> None:
    runtimes = parser.add_argument_group("runtimes, beside ai-edge-litert")
    runtimes.add_argument(
        "--tflite-python",
        type=Path,
        metavar="PYTHON",
        help="a Python with tflite-runtime (default: this Python, then "
        f"${PYTHON_VARIABLE}, then the Python of make test-tflite-runtime)",
    )
    older = runtimes.add_mutually_exclusive_group()
    older.add_argument(
        "--for-tflite-runtime",
        action="store_const",
        dest="older_runtime",
        const=True,
        help="some boxes have tflite-runtime: fail when it is not installed here (default: "
        "compare with it if it is installed)",
    )
    older.add_argument(
        "--without-tflite-runtime",
        action="store_const",
        dest="older_runtime",
        const=False,
        help="no box has tflite-runtime: do not run it; use the fastest kernels of ai-edge-litert",
    )


def _add_foreign_options(parser: argparse.ArgumentParser) -> None:
    foreign = parser.add_argument_group("for models that edge-train did not make")
    foreign.add_argument(
        "--labels",
        type=_labels,
        metavar="A,B",
        help="in the order of the outputs; a single output is P(the last label)",
    )
    foreign.add_argument("--ok-label", type=_text, help="the class of good parts (default: ok)")
    foreign.add_argument(
        "--scaling",
        choices=tuple(SCALINGS),
        help="range of the pixel values at the input; inside: 0 to 255, the network scales; "
        "signed: -1 to 1; caffe and torch: ImageNet's, as Keras names them",
    )
    foreign.add_argument(
        "--output-kind",
        choices=("probabilities", "logits"),
        help="the kind of the outputs, when no softmax or sigmoid ends the network",
    )
    foreign.add_argument(
        "--input-size",
        type=_size,
        metavar="WxH",
        help="for a network that takes pictures of every size",
    )
    foreign.add_argument(
        "--allow-code",
        action="store_true",
        help="run the Python code of Lambda layers in the model file: it can do anything",
    )


def show_parser() -> argparse.ArgumentParser:
    """The parser of `show`."""
    parser = argparse.ArgumentParser(
        prog="edge-convert show", description="Prints the description in a model file."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a .tflite file")
    return parser


def figures_parser() -> argparse.ArgumentParser:
    """The parser of `figures`."""
    parser = argparse.ArgumentParser(
        prog="edge-convert figures",
        description="Times small operators on this machine for some seconds and writes the cost "
        "of each kind, for --on FILE. TensorFlow is not needed.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.json")
    return parser


def compare_parser() -> argparse.ArgumentParser:
    """The parser of `compare`."""
    parser = argparse.ArgumentParser(
        prog="edge-convert compare",
        description="Shows which pictures of the test set two models judge differently.",
    )
    add = parser.add_argument
    add(
        "first",
        type=Path,
        metavar="A",
        help="a .tflite file of edge-convert, or a .keras file of edge-train",
    )
    add("second", type=Path, metavar="B", help="the other file")
    add("--data", type=Path, required=True, help="the data set; both models judge its test set")
    add("--sheet", type=Path, metavar="FILE.png", help="write a contact sheet of those pictures")
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


def _size(value: str) -> tuple[int, int]:
    width, _, height = value.partition("x")
    sides = [int(side) if side.isdecimal() else 0 for side in (width, height)]
    if not all(8 <= side <= 1024 for side in sides):
        raise argparse.ArgumentTypeError(f"{value!r} must be a width and a height: 224x224")
    return sides[0], sides[1]


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

"""The command line options of the training."""

import argparse
from collections.abc import Callable
from typing import Any

from edge.core.errors import DatasetError
from edge.core.view import ViewConfig
from trainer.training import TrainingRequest, default_settings

HUB = "keras:"
NETWORKS = ("baseline", "compact", "pretrained", "pretrained-small", "auto", "one-class")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options to a parser. Imports nothing heavy."""
    add = parser.add_argument_group("training", "The defaults suit the network.").add_argument
    add(
        "--network",
        type=_network,
        default="auto",
        metavar="NAME",
        help=f"{', '.join(NETWORKS)}, or keras:NAME for one of keras.applications, whose weights "
        "are downloaded; auto trains the suitable ones and chooses the best on the "
        "validation set (%(default)s)",
    )
    add(
        "--time-budget",
        type=_minutes,
        default=20.0,
        metavar="MIN",
        help="auto: minutes for all candidates (%(default)s)",
    )
    add("--no-baseline", action="store_true", help="do not train the baseline to compare with")
    _add_input_options(add)
    _add_augmentation_options(add)


def _add_input_options(add: Callable[..., Any]) -> None:
    add("--epochs", type=_positive, help="largest number of epochs")
    add("--batch", type=_positive, help="pictures in a batch")
    add("--seed", type=_seed, default=0, help="(%(default)s)")
    add("--side", type=_side, metavar="PIXELS", help="width and height of the input")
    add("--colour", choices=("rgb", "grey"), help="of the input; as in the pictures when absent")
    add(
        "--view",
        type=_view,
        metavar="FILE[:CAMERA]",
        help="config.yaml whose cameras[].view crops the pictures, as on the box; the pictures "
        "must be whole camera frames",
    )
    add(
        "--region",
        type=_region,
        metavar="X,Y,W,H",
        help="region of each picture that the model sees, in fractions: 0.1,0,0.8,1",
    )
    add(
        "--decoding",
        choices=("auto", "whole"),
        default="auto",
        help="auto: JPEGs at reduced scale, which is faster, where that costs no accuracy "
        "(%(default)s)",
    )
    add("--frozen", action="store_true", help="pretrained, keras: fit the last layer only")


def _add_augmentation_options(add: Callable[..., Any]) -> None:
    from trainer.data.augment import NAMES

    add(
        "--without",
        action="append",
        choices=NAMES,
        default=[],
        help="switches off one augmentation of the training pictures; may be repeated",
    )
    add(
        "--quarter-turns",
        action="store_true",
        help="turn training pictures by 90° too: for parts that lie in any direction",
    )
    add(
        "--turn",
        type=_degrees,
        default=0.0,
        metavar="DEGREES",
        help="turn training pictures by up to DEGREES: for parts that are sometimes rotated",
    )


def check_training_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exits with a usage error for an option of one network when --network names none."""
    if args.on is not None and args.target_ms is None:
        parser.error("--on names the box; give --target-ms with it, the longest inference there")
    if args.network != "auto":
        return
    for name in ("epochs", "batch", "side", "colour", "frozen"):
        if getattr(args, name):
            parser.error(
                f"--{name} belongs to one network, and auto trains several; name one, for example "
                f"--network pretrained, or leave --{name} out"
            )


def training_request(args: argparse.Namespace) -> TrainingRequest:
    """The request: the network's default settings with the options applied.

    With auto only seed, view, region and variations apply, to all candidates.
    """
    auto = args.network == "auto"
    latency_target = None if args.target_ms is None else (args.target_ms, args.on)
    if args.network == "one-class":
        from trainer.training.one_class import one_class_settings

        settings = one_class_settings(args.seed, args.side, args.region, args.view)
        return TrainingRequest(settings, one_class=True, latency_target=latency_target)
    from_hub = args.network.startswith(HUB)
    settings = default_settings("pretrained" if from_hub or auto else args.network)
    settings = settings.replace(
        network=args.network if from_hub else None,
        epochs=args.epochs,
        batch=args.batch,
        seed=args.seed,
        side=args.side,
        colour=args.colour,
        view=args.view,
        region=args.region,
        decoding=args.decoding,
        tune=False if args.frozen else None,
        variations=settings.variations.chosen(
            set(args.without), quarter_turn=args.quarter_turns, turn=args.turn
        ),
    )
    return TrainingRequest(
        settings,
        auto,
        args.time_budget,
        baseline=not args.no_baseline,
        latency_target=latency_target,
    )


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 < value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 10000 minutes")
    return value


def _network(text: str) -> str:
    if text not in NETWORKS and not (text.startswith(HUB) and text != HUB):
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of {', '.join(NETWORKS)} and no keras:NAME"
        )
    return text


def _degrees(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 45:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 45 degrees")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _side(text: str) -> int:
    value = int(text)
    if not 32 <= value <= 512:
        raise argparse.ArgumentTypeError(f"{text} is not between 32 and 512")
    return value


def _view(text: str) -> ViewConfig:
    from trainer.data.camera_view import read_view

    try:
        return read_view(text)
    except DatasetError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _region(text: str) -> tuple[float, float, float, float]:
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} is not four numbers, X,Y,W,H, as in 0.1,0,0.8,1"
        ) from None
    if not (0 <= x < 1 and 0 <= y < 1 and 0 < w <= 1 - x + 1e-9 and 0 < h <= 1 - y + 1e-9):
        raise argparse.ArgumentTypeError(f"{text} is not inside the picture (fractions, 0 to 1)")
    return x, y, w, h


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 4294967295")
    return value

"""The options of `edge-inspect models`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge.core.threads import run_when_idle

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_VERSION = "name@version, or the first 8 digits or more of the sha256"


def add_model_commands(commands: "Commands", config: argparse.ArgumentParser) -> None:
    """Adds the command with its own commands."""
    models = commands.add_parser("models", help="model versions on this box: docs/models.md")
    inner = models.add_subparsers(dest="what", required=True, metavar="COMMAND")
    form = argparse.ArgumentParser(add_help=False)
    form.add_argument("--json", action="store_true", help="as JSON")
    options = [config, form]
    inner.add_parser("list", parents=options, help="the installed versions")
    install = inner.add_parser("install", parents=options, help="check a file and keep it")
    install.add_argument("file", type=Path, metavar="FILE", help="a .tflite file of edge-convert")
    _add_verify(inner.add_parser("verify", parents=options, help="check an installed version"))
    remove = inner.add_parser("remove", parents=options, help="delete a version not active")
    remove.add_argument("name", metavar="NAME", help=_VERSION)
    activate = inner.add_parser("activate", parents=options, help="judge by a version from now on")
    activate.add_argument("name", metavar="NAME", help=_VERSION)
    activate.add_argument("--now", action="store_true", help="do not wait for models.window")
    _add_shadow(
        inner.add_parser(
            "shadow", parents=options, help="a version judges along, and nothing of it counts"
        )
    )
    rollback = inner.add_parser(
        "rollback", parents=options, help="judge by the version that was active before"
    )
    rollback.add_argument(
        "name", nargs="?", metavar="NAME", help="of the model (default: that of model.path)"
    )


def _add_verify(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("name", metavar="NAME", help=_VERSION)
    verify.add_argument(
        "--pictures",
        nargs="?",
        type=int,
        const=2000,
        metavar="N",
        help="also judge the newest N kept pictures: what would change? (default: 2000)",
    )
    verify.add_argument(
        "--contact-sheet", type=Path, metavar="FILE", help="of those that would change, as PNG"
    )


def _add_shadow(shadow: argparse.ArgumentParser) -> None:
    one = shadow.add_mutually_exclusive_group(required=True)
    one.add_argument("name", nargs="?", metavar="NAME", help=_VERSION)
    one.add_argument("--stop", action="store_true", help="end it; prints the last figures")


def run_model_command(arguments: argparse.Namespace) -> int:
    """Runs one of them. Returns the exit code."""
    with_pictures = arguments.what == "verify" and (
        arguments.pictures is not None or arguments.contact_sheet is not None
    )
    if with_pictures:
        run_when_idle()  # before the libraries and models are loaded
    from edge.cli import models

    path, as_json = arguments.config, arguments.json
    match arguments.what:
        case "list":
            return models.list_models(path, as_json=as_json)
        case "install":
            return models.install(path, arguments.file, as_json=as_json)
        case "verify":
            if not with_pictures:
                return models.verify(path, arguments.name, as_json=as_json)
            count, sheet = arguments.pictures, arguments.contact_sheet
            return models.verify_on_pictures(path, arguments.name, count, sheet, as_json=as_json)
        case "remove":
            return models.remove(path, arguments.name, as_json=as_json)
        case "shadow":
            return models.shadow(path, arguments.name, as_json=as_json)
        case "rollback":
            return models.rollback(path, arguments.name, as_json=as_json)
        case _:
            return models.activate(path, arguments.name, now=arguments.now, as_json=as_json)

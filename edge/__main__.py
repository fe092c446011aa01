"""The command line. A command imports its heavy modules itself, which keeps the others quick."""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import edge
from edge.cli.model_commands import add_model_commands, run_model_command
from edge.cli.record_commands import add_record_commands, run_record_command
from edge.cli.rejudge_options import add_evidence_commands
from edge.core.errors import EXIT_INTERNAL, EdgeInspectError
from edge.core.output import (
    OutputError,
    finish_output,
    prepare_output,
    write_error,
    write_errors,
    write_traceback,
)

_CONFIG = Path("config.yaml")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code. An expected error is one sentence on stderr."""
    prepare_output()
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "bench":
        _bench(argv[1:])
    arguments = _parser().parse_args(argv)
    # Otherwise NumPy's linear algebra, which the daemon never uses, starts a thread per core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    return finish_output(partial(_run, arguments))


def _run(arguments: argparse.Namespace) -> int:
    try:
        return _dispatch(arguments)
    except EdgeInspectError as error:
        write_errors(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001  outermost: reports an internal fault
        write_traceback(error)
        write_error(f"edge-inspect: internal fault ({error!r}); please report it")
        return EXIT_INTERNAL


def _bench(options: Sequence[str]) -> NoReturn:
    """Replaces this process by edge_bench, whose parser, signals and exit code apply."""
    os.execv(sys.executable, [sys.executable, "-m", "edge_bench", *options])  # noqa: S606  no shell


def _dispatch(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "run":
            gc.disable()  # imports leave no garbage; `run` enables it afterwards
            from edge.cli.run import run

            return run(arguments.config)
        case "check":
            from edge.cli.check import check

            return check(arguments.config, offline=arguments.offline)
        case "predict":
            from edge.cli.predict import predict

            return predict(arguments.pictures, arguments.config, arguments.camera)
        case "snapshot":
            from edge.cli.snapshot import snapshot

            return snapshot(arguments.config, arguments.camera, arguments.output)
        case "history" | "show" | "label" | "estimate" | "export":
            return run_record_command(arguments)
        case "models":
            return run_model_command(arguments)
        case "explain":
            from edge.cli.explain import explain

            return explain(arguments.ids, arguments.config)
        case "rejudge":
            from edge.cli.rejudge_options import run_rejudge

            return run_rejudge(arguments)
        case "journal":
            from edge.cli import journal

            if arguments.what == "verify":
                return journal.verify(arguments.config)
            return journal.journal(arguments.config, as_json=arguments.json)
        case _:
            from edge.cli import config

            return config.schema() if arguments.what == "schema" else config.show(arguments.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-inspect", description="Decides beside a production line whether a part is good."
    )
    parser.add_argument("--version", action="version", version=edge.__version__)
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "-c",
        "--config",
        type=Path,
        default=_CONFIG,
        metavar="FILE",
        help="the configuration (default: config.yaml in this folder)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", parents=[config], help="the daemon, in the foreground")
    check = commands.add_parser(
        "check", parents=[config], help="config, camera, model, broker, disk"
    )
    check.add_argument(
        "--offline", action="store_true", help="only config, model and disk, as for an upgrade"
    )
    predict = commands.add_parser("predict", parents=[config], help="a verdict for picture files")
    predict.add_argument("pictures", nargs="+", type=Path, metavar="IMAGE")
    predict.add_argument(
        "--camera", metavar="ID", help="the camera whose view cuts the pictures, when views differ"
    )
    snapshot = commands.add_parser(
        "snapshot", parents=[config], help="a picture of a camera, with the region drawn in"
    )
    snapshot.add_argument("--camera", metavar="ID", help="the camera, when there are several")
    snapshot.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help=".png, .jpg or .bmp"
    )
    add_record_commands(commands, config)
    add_evidence_commands(commands, config)
    add_model_commands(commands, config)
    journal = commands.add_parser("journal", parents=[config], help="who changed what")
    journal.add_argument(
        "what",
        nargs="?",
        choices=["list", "verify"],
        default="list",
        help="verify: whether an entry was changed or removed (default: list)",
    )
    journal.add_argument("--json", action="store_true", help="one entry a line")
    commands.add_parser("bench", help="measure this box")  # `main` starts it
    show = commands.add_parser("config", parents=[config], help="the configuration")
    show.add_argument("what", choices=["schema", "show"])
    return parser


if __name__ == "__main__":
    sys.exit(main())

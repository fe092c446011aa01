"""The command line: argv → command → exit code. Heavy imports wait until a command needs them."""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import edge
from edge.core.errors import EXIT_INTERNAL, EdgeInspectError

_CONFIG = Path("config.yaml")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code; a user's mistake is one sentence on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "bench":  # has a parser of its own
        from edge.cli.bench import bench

        bench(argv[1:])
    arguments = _parser().parse_args(argv)
    # NumPy's algebra, of which the daemon needs none, would start a thread a core when imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        return _dispatch(arguments)
    except EdgeInspectError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `edge-inspect predict … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001  the last door: a fault of ours, reported as such
        import traceback

        traceback.print_exc()
        sys.stderr.write(f"edge-inspect: internal fault ({error!r}); please report it\n")
        return EXIT_INTERNAL


def _dispatch(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "run":
            gc.disable()  # importing leaves nothing to collect; it is enabled when that is over
            from edge.cli.run import run

            return run(arguments.config)
        case "check":
            from edge.cli.check import check

            return check(arguments.config, arguments.offline)
        case "predict":
            from edge.cli.predict import predict

            return predict(arguments.pictures, arguments.config, arguments.camera)
        case "snapshot":
            from edge.cli.snapshot import snapshot

            return snapshot(arguments.config, arguments.camera, arguments.output)
        case _:
            from edge.cli import config

            return config.schema() if arguments.what == "schema" else config.show(arguments.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-inspect", description="Decides beside a production line whether a part is good."
    )
    parser.add_argument("--version", action="version", version=edge.__version__)
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "-c",
        "--config",
        type=Path,
        default=_CONFIG,
        metavar="FILE",
        help="the configuration (default: config.yaml in this folder)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", parents=[where], help="the daemon, in the foreground")
    check = commands.add_parser(
        "check", parents=[where], help="config, camera, model, broker, disk"
    )
    check.add_argument(
        "--offline", action="store_true", help="only config, model and disk, as for an upgrade"
    )
    predict = commands.add_parser("predict", parents=[where], help="a verdict for picture files")
    predict.add_argument("pictures", nargs="+", type=Path, metavar="IMAGE")
    predict.add_argument(
        "--camera", metavar="ID", help="whose view the pictures are cut by, when views differ"
    )
    snapshot = commands.add_parser(
        "snapshot", parents=[where], help="what a camera sees, with the region drawn in"
    )
    snapshot.add_argument("--camera", metavar="ID", help="which one, when there are several")
    snapshot.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help=".png, .jpg or .bmp"
    )
    commands.add_parser("bench", help="what this box can do")  # `main` starts its process
    config = commands.add_parser("config", parents=[where], help="the configuration")
    config.add_argument("what", choices=["schema", "show"])
    return parser


if __name__ == "__main__":
    sys.exit(main())

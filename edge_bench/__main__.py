"""The command `edge-inspect bench`, which runs in a separate process."""

import argparse
import json
import os
import sys
from pathlib import Path

from edge.config import load_config
from edge.core.errors import EXIT_DONE, EXIT_INTERNAL, EXIT_NO, EdgeInspectError
from edge_bench.options import add_options, plan_from
from edge_bench.report import run
from edge_bench.rig import Rig
from edge_bench.stage_chart import draw
from edge_bench.table import table


def main() -> int:
    """Measures and returns the exit code. An error of the user is one sentence on stderr."""
    parser = argparse.ArgumentParser(
        prog="edge-inspect bench", description="Measures how fast the daemon is on this box."
    )
    add_options(parser)
    arguments = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the measured daemons
    try:
        return measure(arguments)
    except EdgeInspectError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `edge-inspect bench | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NO
    except Exception as error:  # noqa: BLE001  the outermost handler reports a bug
        import traceback

        traceback.print_exc()
        sys.stderr.write(f"edge-inspect: internal fault ({error!r}); please report it\n")
        return EXIT_INTERNAL


def measure(arguments: argparse.Namespace) -> int:
    """Prints the tables and writes the files that the options name.

    Returns EXIT_NO when a run was invalid. Raises EdgeInspectError.
    """
    config_path: Path = arguments.config
    config = load_config(config_path)
    plan = plan_from(arguments, config.model.interpreter)
    with Rig(config, plan, _progress) as rig:
        report = run(rig)
    _progress("")
    sys.stdout.write(table(report))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.picture is not None:
        arguments.picture.write_text(draw(report), encoding="utf-8")
    return EXIT_NO if report["problems"] else EXIT_DONE


def _progress(step: str) -> None:
    """Shows the current step on one line of the terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{step}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

"""edge-convert: argv → conversion, description or comparison → exit code."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from converter.cli.options import compare_parser, convert_parser, figures_parser, show_parser
from converter.convert import Conversion, ConversionRequest, convert
from converter.evaluation import diff_models
from converter.loading import SourceOverrides
from converter.packaging import check_output, check_writable, write_atomically
from converter.report.latency_text import figures_text
from converter.report.text import (
    conversion_text,
    difference_text,
    model_text,
    schemes_text,
)
from converter.selection import GateLimits, SchemeSelection
from edge.core.errors import EXIT_DONE, EXIT_INTERNAL, EXIT_NO, EdgeInspectError
from edge.inspection import load_model_file


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0 done, 1 refused, 2 usage, 70 an internal fault."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"show": _show, "compare": _compare, "figures": _figures}
    command = commands.get(arguments[0] if arguments else "")
    try:
        return _convert(arguments) if command is None else command(arguments[1:])
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
    from trainer.core import Display

    given = convert_parser().parse_args(arguments)
    request = ConversionRequest(
        model=given.model,
        data=given.data,
        output=given.output,
        overrides=SourceOverrides(
            given.name,
            given.labels,
            given.ok_label,
            given.scaling,
            given.output_kind,
            given.input_size,
            given.allow_code,
        ),
        model_version=given.model_version,
        calibration=given.calibration,
        limits=GateLimits(
            max_flips=given.max_flips / 100,
            allow_unlearned=given.allow_unlearned,
        ),
        scheme=given.scheme,
        tflite_python=given.tflite_python,
        older_runtime=given.older_runtime,
        target_ms=given.target_ms,
        on=given.on,
    )
    report = given.report or request.output.with_suffix(".html")
    check_output(request.output)
    check_writable(report, "--report")
    with Display() as display:

        def table(selection: SchemeSelection) -> None:
            display.say(f"\n{schemes_text(selection)}\n")

        done = convert(request, display.say, display.working, table)
    _say(conversion_text(done))
    _report(done, report)
    return EXIT_DONE


def _report(done: Conversion, path: Path) -> None:
    from converter.report.build import render

    write_atomically(path, render(done).encode())
    _say(f"report: {path}")


def _show(arguments: list[str]) -> int:
    _say(model_text(load_model_file(show_parser().parse_args(arguments).file)))
    return EXIT_DONE


def _figures(arguments: list[str]) -> int:
    from trainer.device_latency.measure import measure_cost_table

    output = figures_parser().parse_args(arguments).output
    check_writable(output, "-o")
    figures = measure_cost_table(lambda what, _done, _total: _say(f"{what} …"))
    write_atomically(output, figures.as_json().encode())
    _say(figures_text(figures, output))
    return EXIT_DONE


def _compare(arguments: list[str]) -> int:
    given = compare_parser().parse_args(arguments)
    found = diff_models(given.first, given.second, given.data, given.sheet)
    _say(difference_text(found))
    return EXIT_DONE


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

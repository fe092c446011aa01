"""The command edge-convert: reads the arguments, runs one command, returns the exit code."""

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
from edge.core.output import prepare_output
from edge.inspection import load_model_file


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 done, 1 refused, 2 usage error, 70 internal fault."""
    prepare_output()
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"show": _show, "compare": _compare, "figures": _figures}
    command = commands.get(arguments[0] if arguments else "")
    try:
        return _convert(arguments) if command is None else command(arguments[1:])
    except SystemExit as stop:  # argparse has printed its sentence
        return stop.code if isinstance(stop.code, int) else EXIT_DONE
    except EdgeInspectError as error:
        sys.stderr.write(f"edge-convert: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("edge-convert: stopped; nothing was written\n")
        return EXIT_NO
    except Exception:  # noqa: BLE001 - outermost handler: a bug has its own exit code
        traceback.print_exc()
        sys.stderr.write("edge-convert: internal fault; report it with the lines above\n")
        return EXIT_INTERNAL


def _convert(arguments: list[str]) -> int:
    from trainer.core import Display

    options = convert_parser().parse_args(arguments)
    request = ConversionRequest(
        model=options.model,
        data=options.data,
        output=options.output,
        overrides=SourceOverrides(
            options.name,
            options.labels,
            options.ok_label,
            options.scaling,
            options.output_kind,
            options.input_size,
            options.allow_code,
        ),
        model_version=options.model_version,
        calibration=options.calibration,
        limits=GateLimits(
            max_flips=options.max_flips / 100,
            allow_unlearned=options.allow_unlearned,
        ),
        scheme=options.scheme,
        tflite_python=options.tflite_python,
        older_runtime=options.older_runtime,
        target_ms=options.target_ms,
        box=options.on,
    )
    report = options.report or request.output.with_suffix(".html")
    check_output(request.output)
    check_writable(report, "--report")
    with Display() as display:

        def table(selection: SchemeSelection) -> None:
            display.say(f"\n{schemes_text(selection)}\n")

        conversion = convert(request, display.say, display.working, table)
    _say(conversion_text(conversion))
    _report(conversion, report)
    return EXIT_DONE


def _report(conversion: Conversion, path: Path) -> None:
    from converter.report.build import render

    write_atomically(path, render(conversion).encode())
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
    options = compare_parser().parse_args(arguments)
    found = diff_models(options.first, options.second, options.data, options.sheet)
    _say(difference_text(found))
    return EXIT_DONE


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

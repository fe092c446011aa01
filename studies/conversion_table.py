"""Trained networks through the gate, every scheme and runtime: the table of docs/conversion.md.

    python -m studies.conversion_table runs/a/model.keras=tiles runs/b/model.keras=boards

Each argument is MODEL=DATASET. The runtimes are those that edge-convert finds: ai-edge-litert here,
and tflite-runtime where `make test-tflite-runtime` put one. Each model is converted twice, and the
two files must be the same byte for byte.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from converter.convert import Conversion, ConversionRequest, convert
from converter.report.text import schemes_text
from converter.selection import GateLimits, SchemeSelection
from edge.core.errors import RefusedError
from trainer.core import Display

_HEADINGS = (
    "model",
    "scheme taken",
    "AUROC float → file",
    "flips",
    "on golden",
    "to or from review",
    "largest change",
    "KB",
    "ms, first runtime",
    "ms, last runtime",
    "runtimes apart",
    "same bytes",
)


def main() -> int:
    """Prints the table; 1 when a model was refused or two files of one model differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pairs", nargs="+", metavar="MODEL=DATASET")
    parser.add_argument("--without-tflite-runtime", action="store_true")
    parser.add_argument("--allow-unlearned", action="store_true", help="as edge-convert's")
    parser.add_argument("--once", action="store_true", help="do not convert a second time")
    given = parser.parse_args()
    wanted = ConversionRequest(
        Path(),
        Path(),
        Path(),
        limits=GateLimits(allow_unlearned=given.allow_unlearned),
        older_runtime=False if given.without_tflite_runtime else None,
    )
    rows, fine = [], True
    for pair in given.pairs:
        model, _, data = pair.rpartition("=")
        with tempfile.TemporaryDirectory() as name:
            output = Path(name) / "m.tflite"
            request = replace(wanted, model=Path(model), data=Path(data), output=output)
            try:
                done = _convert(request)
            except RefusedError as error:
                print(f"{model}: {error}", flush=True)
                fine = False
                continue
            first = output.read_bytes()
            same = "–"
            if not given.once:
                # The older file stays in the way: a conversion must not look at it.
                _convert(request)
                same = "yes" if output.read_bytes() == first else "NO"
                fine = fine and same == "yes"
        rows.append(_row(model, done, same))
    print(f"| {' | '.join(_HEADINGS)} |")
    print("|---" * len(_HEADINGS) + "|")
    print("\n".join(rows))
    return 0 if fine else 1


def _convert(request: ConversionRequest) -> Conversion:
    def table(contest: SchemeSelection) -> None:
        print(f"\n{request.model}\n{schemes_text(contest)}\n", flush=True)

    with Display() as display:
        return convert(request, progress=display.working, table=table)


def _row(model: str, done: Conversion, same: str) -> str:
    taken = done.chosen
    score_diff = taken.score_diff
    assert score_diff is not None
    apart = taken.runtime_difference
    cells = (
        Path(model).parent.name,
        taken.label,
        (
            f"{score_diff.auroc_float:.4f} → {score_diff.auroc_int8:.4f} "
            f"({score_diff.auroc_loss:+.4f})"
        ),
        f"{len(score_diff.flips)}/{score_diff.pictures}",
        f"{len(done.figures.golden_flips)}/{len(done.spec.golden)}",
        f"{score_diff.review_moves}",
        f"{score_diff.largest_change:.4f}",
        f"{done.size / 1024:,.0f}",
        f"{taken.runtime_results[0].milliseconds:.2f}",
        f"{taken.runtime_results[-1].milliseconds:.2f}" if len(taken.runtime_results) > 1 else "–",
        "only one was asked" if apart is None else f"{apart:.5f}",
        same,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())

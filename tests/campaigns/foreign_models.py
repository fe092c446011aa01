"""Converts twelve classifiers from outside the project with edge-convert.

    python -m tests.campaigns.foreign_models --side 96

Prints a table for docs/conversion.md. Exit code 1 when edge-convert refuses a model that it must
convert, or converts a model that it must refuse. Needs TensorFlow.
"""

import argparse
import contextlib
import io
import sys
import tempfile
from pathlib import Path

from converter.cli.main import main as edge_convert
from edge.inspection.model_file import load_model_file
from tests.support.foreign_models import FOREIGN_MODELS, ForeignModel, draw, options_for, save


def main() -> int:
    """Prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--side", type=int, default=96, help="of the input, pixels")
    parser.add_argument("--only", default="", help="a part of the name")
    arguments = parser.parse_args()
    good = True
    print("| classifier | saved as | outcome |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for foreign in FOREIGN_MODELS:
            if arguments.only in foreign.name:
                code, outcome = _convert(foreign, root, arguments.side)
                good = good and (code != 0) == bool(foreign.refused)
                print(f"| {foreign.name} | {foreign.saved} | {outcome} |", flush=True)
    return 0 if good else 1


def _convert(foreign: ForeignModel, root: Path, side: int) -> tuple[int, str]:
    """The exit code of edge-convert, and the cell of the table."""
    data = root / "-".join(foreign.labels)
    if not data.exists():
        draw(data, foreign.labels, 100)
    folder = Path(tempfile.mkdtemp(dir=root))
    path, output = save(foreign, data, folder, side), folder / "out.tflite"
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        code = edge_convert(
            [str(path), "--data", str(data), "-o", str(output), *options_for(foreign, side)]
        )
    if code != 0:
        return code, f"exit {code}: {errors.getvalue().strip().replace(str(folder), '…')}"
    spec = load_model_file(output).spec
    assert spec is not None
    compared, found = spec.quantisation["compared"], spec.quantisation
    return code, (
        f"{found['scheme']}, {output.stat().st_size / 1024:,.0f} KB, AUROC "
        f"{compared['auroc_float']:.4f} to {compared['auroc_int8']:.4f}, "
        f"{compared['pass_fail_flips']}/{compared['pictures']} flips, largest change "
        f"{compared['largest_score_change']:.4f}, oldest runtime {found['oldest_runtime']}"
    )


if __name__ == "__main__":
    sys.exit(main())

"""Time and memory of a conversion from 0.2 to 25 million parameters, a process each.

    python -m benchmarks.conversion_scale

Each network is a stack of residual blocks of the width that gives the wanted number of parameters,
with random weights and a last layer fitted on pictures drawn here; the table goes into
docs/conversion.md.
"""

import argparse
import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.foreign_models import TWO, ForeignModel, draw, options_for, save

MILLIONS = (0.2, 1.0, 5.0, 25.0)
STAGES = 4


def network(millions: float) -> ForeignModel:
    """A residual network of about so many million parameters."""
    # a stage of width w: two 3×3 convolutions of w² each and one that doubles, 36 w² in all
    first = round((millions * 1e6 / sum(36 * 4**stage for stage in range(STAGES))) ** 0.5)

    def body(k: Any, side: int) -> tuple[Any, Any]:
        layers = k.layers
        entered = k.Input((side, side, 3))
        x = entered
        for stage in range(STAGES):
            width = first * 2**stage
            x = layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
            y = x
            for _ in range(2):
                y = layers.Conv2D(width, 3, padding="same", use_bias=False)(y)
                y = layers.ReLU()(layers.BatchNormalization()(y))
            x = layers.Add()([x, y])
        return entered, layers.GlobalAveragePooling2D()(x)

    return ForeignModel(f"{millions} M", body, scaling="0-1")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--millions", type=float, nargs="*", default=list(MILLIONS))
    parser.add_argument("--alone", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--scheme", default="")
    given = parser.parse_args()
    if given.alone is not None:
        _convert(given.alone, given.side, given.scheme)
        return
    print("| parameters | seconds | processor seconds | peak memory, MB | file, KB |")
    print("|---|---|---|---|---|")
    for millions in given.millions:
        command = [sys.executable, "-m", "benchmarks.conversion_scale", "--alone", str(millions)]
        options = ["--side", str(given.side), "--scheme", given.scheme]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        print(done.stdout.strip() or done.stderr.strip()[-300:], flush=True)


def _convert(millions: float, side: int, scheme: str) -> None:
    from converter.cli.main import main as edge_convert

    foreign = network(millions)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        data = draw(root / "data", TWO, 150, side)
        if os.fork() == 0:  # what saving takes is not the conversion's
            save(foreign, data, root, side)
            os._exit(0)
        os.wait()
        start, output = time.perf_counter(), root / "out.tflite"
        arguments = [str(root / foreign.saved), "--data", str(data), "-o", str(output)]
        forced = ["--scheme", scheme] if scheme else []
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = edge_convert([*arguments, *options_for(foreign, side), *forced])
        taken = time.perf_counter() - start
        if code != 0:
            print(f"| {millions} M | exit {code}: {said.getvalue().strip()[-200:]} |")
            return
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {millions} M | {taken:.0f} | {time.process_time():.0f} | {peak:,.0f} | "
            f"{output.stat().st_size / 1024:,.0f} |"
        )


if __name__ == "__main__":
    main()

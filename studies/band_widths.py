"""What the bands of the last hidden layer cost and give, for several cuts of a feature's range.

    python -m studies.band_widths MODEL.keras DATASET --tflite-python PYTHON --widths 1 1,1,2

For each cut: how far the scores of two runtimes are apart on up to 600 pictures of the data set
(1/255 is the limit between boxes), how far they are from the float model's, the milliseconds of an
inference, and the memory of an interpreter. The head is as trained, not fitted.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.loading import SourceOverrides, load_source_model
from converter.quantization import quantization_schemes
from converter.quantization.multi_range_head import with_bands
from converter.tflite import find_runners
from edge.inspection import TFLiteClassifier, to_probabilities
from trainer.data import load_dataset, load_pictures

PICTURES = 600


def main() -> None:
    """Prints a row for each cut."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tflite-python", type=Path, help="one that has tflite-runtime")
    parser.add_argument(
        "--widths", nargs="+", default=["1", "1,1", "1,1,2", "1,2,4", "1,1,1,1,1,1,1,1"]
    )
    said = parser.parse_args()
    source = load_source_model(said.model, SourceOverrides())
    dataset = load_dataset(said.data)
    train = load_pictures(dataset.of("train"), source.input)
    test = load_pictures(dataset.of("test"), source.input)
    test = test[random.Random(1).sample(range(len(test)), min(PICTURES, len(test)))]
    runners = find_runners(said.tflite_python)
    whole = quantization_schemes.build_model("float32", source.frozen, train, said.model.name)
    wanted = _scores(runners[0].rows(whole.tflite, test, "float32")[0])
    print("| widths | " + " | ".join(f"ms, {runner.name}" for runner in runners), end=" | ")
    print("MB an interpreter | apart, largest | apart, past 1/255 | from float, largest | mean |")
    print("|---|" + "---|" * (len(runners) + 5))
    for text in said.widths:
        widths = tuple(map(int, text.split(",")))
        setattr(quantization_schemes, "with_bands", partial(with_bands, widths=widths))  # noqa: B010  no option
        made = quantization_schemes.build_model(
            quantization_schemes.FLOAT_HEAD, source.frozen, train, said.model.name
        )
        rows, times = zip(*(runner.rows(made.tflite, test, text) for runner in runners))
        scores = [_scores(one) for one in rows]
        apart = np.abs(scores[-1] - scores[0])
        off = np.abs(scores[0] - wanted)
        ms = " | ".join(f"{one:.2f}" for one in times)
        print(
            f"| {text} | {ms} | {_megabytes(made.tflite):.1f} | {apart.max():.4f} | "
            f"{int((apart > 1 / 255).sum())} of {len(test)} | {off.max():.4f} | {off.mean():.4f} |",
            flush=True,
        )


def _scores(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """P(the last label) of rows of logits."""
    return np.array([to_probabilities(row, "logits", 1.0)[-1] for row in rows])


def _megabytes(tflite: bytes) -> float:
    """What one more interpreter takes, in a process where TensorFlow has left no free memory."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(tflite)
        file.flush()
        command = [sys.executable, "-m", "studies.band_widths", "weigh", file.name]
        return float(subprocess.run(command, check=True, capture_output=True).stdout)


def weigh(file: Path, count: int = 8) -> None:
    """Prints that, for a model in a file."""
    tflite = file.read_bytes()
    held = [TFLiteClassifier(tflite, "bands", threads=1)]
    before = _dirty_kb()
    held += [TFLiteClassifier(tflite, "bands", threads=1) for _ in range(count)]
    for one in held:
        one(np.zeros(one.shape, np.uint8))
    sys.stdout.write(f"{(_dirty_kb() - before) / count / 1024}\n")


def _dirty_kb() -> int:
    found = re.search(r"^Private_Dirty:\s+(\d+)", Path("/proc/self/smaps_rollup").read_text(), re.M)
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["weigh"]:
        weigh(Path(sys.argv[2]))
    else:
        main()

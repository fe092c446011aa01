"""Bad conversions on purpose, of a real model: what the gate says of each.

    python -m benchmarks.bad_conversions MODEL --data DATASET

Each is done twice: as a user of the converter's parts could do it, with the check of the
calibration pictures in the way, and with that check taken out, so that only figures can object.
"""

import argparse
import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

import converter.contest
import converter.convert
from converter.calibrate import choose_calibration
from converter.convert import Request, convert
from converter.frozen import Frozen, Head
from converter.schemes import FLOAT_HEAD, Made, make
from edge.errors import EdgeInspectError
from edge.inspection.preprocess import InputSpec
from edge.picture import read_picture
from trainer.dataset import Sample
from trainer.pictures import load_pictures

Pictures = NDArray[np.uint8]


def _pictures(change: Callable[[Pictures], Pictures]) -> Any:
    def load(samples: tuple[Sample, ...], recipe: InputSpec, *_: Any) -> Pictures:
        return change(load_pictures(samples, recipe))

    return patch.object(converter.convert, "load_pictures", load)


def _nearest(samples: tuple[Sample, ...], recipe: InputSpec, *_: Any) -> Pictures:
    found = []
    for sample in samples:
        small = cv2.resize(
            read_picture(sample.path),
            (recipe.width, recipe.height),
            interpolation=cv2.INTER_NEAREST,
        )
        found.append(small[:, :, :1] if recipe.channels == 1 else small[:, :, ::-1])
    return np.stack(found).astype(np.uint8)


def _one_class(samples: tuple[Sample, ...], count: int) -> tuple[Sample, ...]:
    return choose_calibration([s for s in samples if s.label == samples[0].label], count)


def _labels_turned(scheme: str, frozen: Frozen, pictures: Pictures, name: str) -> Made:
    if frozen.head is not None:
        head = Head(frozen.head.weights[:, ::-1], frozen.head.bias[::-1])
        frozen = dataclasses.replace(frozen, head=head)
    return make(scheme, frozen, pictures, name)


BAD = {
    "none (as it should be)": contextlib.nullcontext(),
    "calibrated on noise": _pictures(
        lambda p: np.random.default_rng(0).integers(0, 256, p.shape, np.uint8)
    ),
    "calibrated on one class": patch.object(converter.convert, "choose_calibration", _one_class),
    "through another resizer": patch.object(converter.convert, "load_pictures", _nearest),
    "with swapped channels": _pictures(lambda p: p[..., ::-1].copy()),
    "with a clipped range (100 to 140)": _pictures(lambda p: p.clip(100, 140)),
    "with pixels of 0 and 1": _pictures(lambda p: (p // 128).astype(np.uint8)),
    "labels in another order": patch.object(converter.contest, "make", _labels_turned),
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    print("| bad conversion | the gate | its figures alone |\n|---|---|---|")
    for name, bad in BAD.items():
        with bad:
            gate = _outcome(given.model, given.data)
            with patch.object(converter.convert, "check_calibration", lambda *_: None):
                alone = _outcome(given.model, given.data)
        print(f"| {name} | {gate} | {alone} |", flush=True)


def _outcome(model: Path, data: Path) -> str:
    with tempfile.TemporaryDirectory() as name:
        output = Path(name) / "out.tflite"
        request = Request(model, data, output, scheme=FLOAT_HEAD, older_runtime=False)
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                convert(request)
            except EdgeInspectError as error:
                assert not list(Path(name).iterdir())
                said = str(error).partition("nothing was written: ")[2] or str(error)
                return f"refused: {said.partition('; take them')[0].partition('; check that')[0]}"
    return "passes"


if __name__ == "__main__":
    main()

"""Bad conversions of a model, on purpose, and the result of the gate for each.

    python -m tests.campaigns.bad_conversions
    python -m tests.campaigns.bad_conversions MODEL --data DATASET

Without a model, it draws coloured pictures and fits a small network of five classes: with grey
pictures, swapped channels would change nothing. Each conversion runs twice: with the check of the
calibration pictures, and without it, so that only the figures can object.
"""

import argparse
import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

import converter.convert
import converter.selection.scheme_selection
from converter.convert import ConversionRequest, convert
from converter.loading import (
    DenseHead,
    FrozenGraph,
    SourceModel,
    SourceOverrides,
    load_source_model,
)
from converter.quantization import FLOAT_HEAD, BuiltModel, build_model, choose_calibration
from edge.core.errors import EdgeInspectError
from edge.core.image import read_picture
from edge.inspection.preprocessing import InputSpec
from tests.support.foreign_models import FIVE, FOREIGN_MODELS, draw, save
from trainer.data import Sample, load_pictures

_COLOURED = next(foreign for foreign in FOREIGN_MODELS if foreign.name == "five classes")

Pictures = NDArray[np.uint8]


def _pictures(change: Callable[[Pictures], Pictures]) -> Any:
    def load(samples: tuple[Sample, ...], input_spec: InputSpec, *_: Any) -> Pictures:
        return change(load_pictures(samples, input_spec))

    return patch.object(converter.convert, "load_pictures", load)


def _nearest(samples: tuple[Sample, ...], input_spec: InputSpec, *_: Any) -> Pictures:
    found = []
    for sample in samples:
        small = cv2.resize(
            read_picture(sample.path),
            (input_spec.width, input_spec.height),
            interpolation=cv2.INTER_NEAREST,
        )
        found.append(small[:, :, :1] if input_spec.channels == 1 else small[:, :, ::-1])
    return np.stack(found).astype(np.uint8)


def _one_class(samples: tuple[Sample, ...], count: int) -> tuple[Sample, ...]:
    return choose_calibration([s for s in samples if s.label == samples[0].label], count)


def _reversed_head(scheme: str, frozen: FrozenGraph, pictures: Pictures, name: str) -> BuiltModel:
    if frozen.head is not None:
        head = DenseHead(frozen.head.weights[:, ::-1], frozen.head.bias[::-1])
        frozen = dataclasses.replace(frozen, head=head)
    return build_model(scheme, frozen, pictures, name)


@contextlib.contextmanager
def _reversed_outputs() -> Iterator[None]:
    """The outputs in another order. The head is not fitted again, because that would restore it."""
    with (
        patch.object(converter.selection.scheme_selection, "build_model", _reversed_head),
        patch.object(converter.selection.scheme_selection, "refit_head", lambda model, *_: model),
    ):
        yield


def _reversed_labels(path: Path, overrides: SourceOverrides) -> SourceModel:
    source = load_source_model(path, overrides)
    spec = source.spec.replace(labels=source.spec.labels[::-1])
    return dataclasses.replace(source, spec=spec)


BAD: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "none (reference)": contextlib.nullcontext,
    "calibrated on noise": lambda: _pictures(
        lambda p: np.random.default_rng(0).integers(0, 256, p.shape, np.uint8)
    ),
    "calibrated on one class": lambda: patch.object(
        converter.convert, "choose_calibration", _one_class
    ),
    "through another resizer": lambda: patch.object(converter.convert, "load_pictures", _nearest),
    "with swapped channels": lambda: _pictures(lambda p: p[..., ::-1].copy()),
    "with a clipped range (100 to 140)": lambda: _pictures(lambda p: p.clip(100, 140)),
    "with pixels of 0 and 1": lambda: _pictures(lambda p: (p // 128).astype(np.uint8)),
    "outputs in another order": _reversed_outputs,
    "labels named in another order": lambda: patch.object(
        converter.convert, "load_source_model", _reversed_labels
    ),
}


def main() -> None:
    """Prints the table of results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    if (arguments.model is None) != (arguments.data is None):
        parser.error("MODEL and --data go together; give both or none")
    with tempfile.TemporaryDirectory() as name:
        model, data, overrides = arguments.model, arguments.data, SourceOverrides()
        if model is None:
            data = draw(Path(name) / "data", FIVE, 100)
            model = save(_COLOURED, data, Path(name), 32)
            overrides = SourceOverrides(labels=FIVE, scaling=_COLOURED.scaling)
        _table(
            ConversionRequest(
                model, data, Path(name), overrides, scheme=FLOAT_HEAD, older_runtime=False
            )
        )


def _table(request: ConversionRequest) -> None:
    print("| bad conversion | the gate | its figures alone |\n|---|---|---|")
    for name, bad in BAD.items():
        with bad():
            gate = _outcome(request)
            with patch.object(converter.convert, "check_calibration", lambda *_: None):
                without_check = _outcome(request)
        print(f"| {name} | {gate} | {without_check} |", flush=True)


def _outcome(request: ConversionRequest) -> str:
    with tempfile.TemporaryDirectory() as name:
        request = dataclasses.replace(request, output=Path(name) / "out.tflite")
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                convert(request)
            except EdgeInspectError as error:
                assert not list(Path(name).iterdir())
                reason = str(error).partition("nothing was written: ")[2] or str(error)
                return f"refused: {reason.partition('; take them')[0].partition('; check that')[0]}"
    return "passes"


if __name__ == "__main__":
    main()

"""A trained model on disk: a .keras file with a spec of the model and its training."""

import json
import os
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge.core.errors import EdgeInspectError, ModelError
from edge.core.record import Items, Model
from edge.core.terms import OutputKind
from edge.core.validation import ValidationError
from edge.inspection import InputSpec, OutputSpec, Thresholds, to_probabilities
from trainer.core import keras

SCHEMA: Literal["edge-inspect/trained/1"] = "edge-inspect/trained/1"
MEMBER = "edge-inspect.json"


class TrainedSpec(Model):
    """The spec, edge-inspect.json inside a .keras file. Its dictionaries are for reports."""

    schema_: Annotated[Literal["edge-inspect/trained/1"], Field(alias="schema")] = SCHEMA
    name: Annotated[str, Field(min_length=1, max_length=200)]
    version: Annotated[str, Field(min_length=1, max_length=200)]
    labels: Annotated[Items[str], Field(min_length=2)]
    ok_label: str = "ok"
    input: InputSpec
    output: OutputSpec
    thresholds: Thresholds
    metrics: dict[str, Any] = Field(default={})
    data: dict[str, Any] = Field(default={})
    training: dict[str, Any] = Field(default={})
    tools: dict[str, str] = Field(default={})


def save_trained(model: Any, spec: TrainedSpec, path: Path) -> None:
    """Writes the Keras model and its spec as one .keras file, atomically.

    Keras ignores the extra member. Raises EdgeInspectError when the file cannot be written.
    """
    half = path.with_name(f".{path.stem}.{os.getpid()}.keras")  # Keras requires the suffix
    text = json.dumps(spec.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    try:
        model.save(half)
        with zipfile.ZipFile(half, "a") as archive:
            archive.writestr(MEMBER, text + "\n")
        with half.open("rb") as file:
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        raise EdgeInspectError(
            f"{path}: cannot be written ({error.strerror or error}); check the disk and the "
            "folder's permissions"
        ) from error
    finally:
        half.unlink(missing_ok=True)


def read_spec(path: Path) -> TrainedSpec | None:
    """The spec in a .keras file, read without Keras; None when edge-train did not make the file.

    Raises ModelError when the file is missing or damaged, or its spec is invalid.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if MEMBER not in archive.namelist():
                return None
            raw = json.loads(archive.read(MEMBER))
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelError(
            f"{path}: not a whole .keras file ({error}); train again, or copy it again"
        ) from error
    except OSError as error:
        raise ModelError(
            f"{path}: the model cannot be read ({error.strerror or error}); train one"
        ) from error
    except ValueError as error:
        raise ModelError(f"{path}: {MEMBER} inside is not JSON ({error}); train again") from error
    try:
        return TrainedSpec.read(raw)
    except ValidationError as error:
        first = error.problems[0]
        raise ModelError(
            f"{path}: {MEMBER}: {first.key}: {first.sentence}; train again with this version"
        ) from error


def load_trained(path: Path) -> tuple[Any, TrainedSpec | None]:
    """The Keras model and its spec; the spec is None when edge-train did not make the file.

    Raises ModelError when it cannot be loaded, MissingPartError without TensorFlow.
    """
    spec = read_spec(path)
    library = keras()
    try:
        model = library.models.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path}: Keras cannot load it ({reason}); train again, or use the version of Keras "
            "that saved it"
        ) from error
    outputs = model.output_shape[-1] if isinstance(model.output_shape, tuple) else None
    if spec is not None and outputs != len(spec.labels):
        raise ModelError(
            f"{path}: {outputs} outputs but {len(spec.labels)} labels {list(spec.labels)}; "
            "train again"
        )
    return model, spec


def probabilities(
    model: Any, spec: TrainedSpec | None, pictures: NDArray[np.uint8], batch: int = 16
) -> NDArray[np.float64]:
    """The probabilities of each picture: float64, (n, labels), 0 to 1; rows sum to 1.

    `pictures` is uint8, (n, height, width, channels), as from `load_pictures`. Batches are small,
    because Keras keeps the outputs of all layers until a batch ends. Without a spec, outputs
    that are no probabilities count as logits. Raises ModelError for invalid outputs.
    """
    rows = [
        np.asarray(model(pictures[at : at + batch].astype(np.float32), training=False))
        for at in range(0, len(pictures), batch)
    ]
    outputs = np.concatenate(rows).astype(np.float64)
    if spec is not None:
        return to_probabilities(outputs, spec.output.kind, spec.output.temperature)
    sums = np.abs(outputs.sum(axis=-1) - 1) < 1e-3
    kind: OutputKind = "probabilities" if (outputs >= 0).all() and sums.all() else "logits"
    return to_probabilities(outputs, kind)


def scores(
    model: Any,
    spec: TrainedSpec | None,
    pictures: NDArray[np.uint8],
    ok_index: int = 0,
    batch: int = 16,
) -> NDArray[np.float64]:
    """P(defective) of each picture: float64, (n,), 0 to 1; 1 - P(ok).

    `ok_index` is the index of `ok` among the outputs of a model without a spec.
    """
    if spec is not None:
        ok_index = spec.labels.index(spec.ok_label)
    good = probabilities(model, spec, pictures, batch)[:, ok_index]
    return np.asarray(np.clip(1.0 - good, 0.0, 1.0))

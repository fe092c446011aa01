"""Loads a model file of any format, after its safety scan, as one callable."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.loading.keras_versions import in_float32, library_for, saved_by, way_out
from converter.loading.safety_scan import Kind, scan_model_file
from converter.loading.tf_logging import silence_tensorflow
from edge.core.errors import MissingPartError, ModelError
from trainer.core import tensorflow

BATCH = 16  # pictures; small, because Keras keeps all layer outputs of a batch in memory
_SIGNATURES = ("serving_default", "serve")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory.

    - `call`: maps float32, (n, height, width, channels), to the model's one output.
    - `input_shape`: the declared shape; None stands for an open dimension.
    - `layers`: the names of the Keras layers, with nested ones; empty for a SavedModel.
    - `batch`: the number of pictures per call.
    """

    kind: Kind
    call: Callable[[Any], Any]
    input_shape: tuple[int | None, ...] | None
    layers: frozenset[str]
    batch: int


def load_model(path: Path, *, allow_code: bool) -> LoadedModel:
    """Loads a .keras or .h5 file or the folder of a SavedModel.

    Raises ModelError when it cannot be loaded, MissingPartError without TensorFlow.
    """
    tensorflow()
    kind = scan_model_file(path, allow_code=allow_code)
    if kind != "saved_model":
        return _keras(path, kind, allow_code=allow_code)
    try:
        with silence_tensorflow():
            return _saved_model(path)
    except (ModelError, MissingPartError):
        raise
    except Exception as error:  # a foreign model raises any class; the reason is passed on
        raise ModelError(
            f"{path}: TensorFlow cannot load it ({_reason(error)}); export it again with the "
            "version that made it: model.export('folder')"
        ) from error


def _keras(path: Path, kind: Kind, *, allow_code: bool) -> LoadedModel:
    version = saved_by(path, kind)
    with silence_tensorflow():
        library = library_for(version)
        if allow_code and hasattr(library, "config"):
            library.config.enable_unsafe_deserialization()
        try:
            model = library.models.load_model(path, compile=False, safe_mode=not allow_code)
        except Exception as error:  # a foreign model raises any class; the reason is passed on
            raise ModelError(
                f"{path}: Keras cannot load it ({_reason(error)}); "
                f"{way_out(version, kind, library)}"
            ) from error
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ModelError(
                f"{path}: it has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
                "a picture classifier has one of each"
            )
        model = in_float32(path, model)

    def call(pixels: Any) -> Any:
        return model(pixels, training=False)

    shape = tuple(model.inputs[0].shape)
    return LoadedModel(
        kind, call, shape, frozenset(_layer_names(library, model)), shape[0] or BATCH
    )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _layer_names(library: Any, model: Any) -> list[str]:
    found = []
    # operations, because keras.ops in a functional model are not layers
    for operation in getattr(model, "operations", None) or model.layers:
        found.append(str(operation.name))
        if isinstance(operation, library.Model):
            found += _layer_names(library, operation)
    return found


def _saved_model(path: Path) -> LoadedModel:
    tf = tensorflow()
    loaded = tf.saved_model.load(str(path))
    signatures = dict(loaded.signatures)
    key = next((key for key in _SIGNATURES if key in signatures), next(iter(signatures), None))
    if key is None:
        raise ModelError(
            f"{path}: this SavedModel has no signature to call; save it with model.export('folder')"
        )
    signature = signatures[key]
    _, inputs = signature.structured_input_signature
    outputs = signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{path}: it has {len(inputs)} inputs and {len(outputs)} outputs; "
            "a picture classifier has one of each"
        )
    ((argument, spec),) = inputs.items()
    (result,) = outputs
    if spec.dtype != tf.float32:
        raise ModelError(
            f"{path}: its input takes {spec.dtype.name}; export it with a float32 input"
        )

    def call(pixels: Any) -> Any:
        # the closure keeps `loaded`, and with it the variables, alive
        return loaded.signatures[key](**{argument: tf.convert_to_tensor(pixels)})[result]

    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return LoadedModel("saved_model", call, shape, frozenset(), (shape and shape[0]) or BATCH)

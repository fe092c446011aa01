"""Opens a model of ours or of others, after it was looked into: one callable for all kinds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.loading.safety_scan import Kind, scan_model_file
from converter.loading.tf_logging import silence_tensorflow
from edge.core.errors import MissingPartError, ModelError
from trainer.core import keras, tensorflow

BATCH = 16  # few at a time, because Keras keeps every layer's output of a batch until its end
_SIGNATURES = ("serving_default", "serve")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory. `call` takes float32, (n, height, width, channels), gives its one output.

    `input_shape` is as the model says it, None for a dimension that is open; `layers` are the
    names of Keras's layers, nested ones too, none for a SavedModel; `batch` is how many pictures it
    takes at once.
    """

    kind: Kind
    call: Callable[[Any], Any]
    input_shape: tuple[int | None, ...] | None
    layers: frozenset[str]
    batch: int


def load_model(path: Path, allow_code: bool) -> LoadedModel:
    """Opens a .keras or .h5 file or a SavedModel's folder.

    Raises ModelError for what cannot be loaded, MissingPartError without TensorFlow.
    """
    tensorflow()
    kind = scan_model_file(path, allow_code)
    try:
        with silence_tensorflow():
            return _saved_model(path) if kind == "saved_model" else _keras(path, kind, allow_code)
    except (ModelError, MissingPartError):
        raise
    except Exception as error:  # a strange model raises anything; the reason is passed on
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        what = "TensorFlow" if kind == "saved_model" else "Keras"
        raise ModelError(
            f"{path}: {what} cannot load it ({reason}); save it again with this version of Keras, "
            "or with the version that made it as a SavedModel: model.export('folder')"
        ) from error


def _keras(path: Path, kind: Kind, allow_code: bool) -> LoadedModel:
    library = keras()
    if allow_code:
        library.config.enable_unsafe_deserialization()
    model = library.models.load_model(path, compile=False, safe_mode=not allow_code)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"{path}: it has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
            "a picture classifier has one of each"
        )

    def call(pixels: Any) -> Any:
        return model(pixels, training=False)

    shape = tuple(model.inputs[0].shape)
    return LoadedModel(kind, call, shape, frozenset(_names(library, model)), shape[0] or BATCH)


def _names(library: Any, model: Any) -> list[str]:
    found = []
    # operations, because keras.ops used on a functional model are no layers
    for operation in getattr(model, "operations", None) or model.layers:
        found.append(str(operation.name))
        if isinstance(operation, library.Model):
            found += _names(library, operation)
    return found


def _saved_model(path: Path) -> LoadedModel:
    tf = tensorflow()
    loaded = tf.saved_model.load(str(path))
    named = dict(loaded.signatures)
    key = next((key for key in _SIGNATURES if key in named), next(iter(named), None))
    if key is None:
        raise ModelError(
            f"{path}: this SavedModel has no signature that could be called; save it with "
            "model.export('folder')"
        )
    signature = named[key]
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
        # `loaded` is named here so that its variables live as long as the callable
        return loaded.signatures[key](**{argument: tf.convert_to_tensor(pixels)})[result]

    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return LoadedModel("saved_model", call, shape, frozenset(), (shape and shape[0]) or BATCH)

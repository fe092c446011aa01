"""Which Keras loads a file, and networks of mixed precision in float32.

Keras 3 refuses most files of Keras 2 (TensorFlow up to 2.15). Keras 2 lives on as `tf_keras`.
"""

import importlib.util
import json
import zipfile
from pathlib import Path
from typing import Any

from converter.loading.safety_scan import Kind
from edge.core.errors import ModelError
from trainer.core import keras, optional_import, tensorflow

_REDUCED_TYPES = ("float16", "bfloat16", "float64")
_FLOAT = "float32"


def saved_by(path: Path, kind: Kind) -> str | None:
    """The version of Keras that saved a scanned file, such as "2.15.0"; None when it names none."""
    if kind == "h5":
        with optional_import("h5py").File(path, "r") as file:
            found = file.attrs.get("keras_version")
        return found.decode(errors="replace") if isinstance(found, bytes) else found
    with zipfile.ZipFile(path) as archive:
        try:
            found = json.loads(archive.read("metadata.json"))["keras_version"]
        except (KeyError, TypeError, ValueError):
            return None
    return found if isinstance(found, str) else None


def library_for(version: str | None) -> Any:
    """The Keras that loads files of a version: `tf_keras` for Keras 2, if it is installed."""
    if is_keras_2(version) and importlib.util.find_spec("tf_keras") is not None:
        tensorflow()
        return importlib.import_module("tf_keras")
    return keras()


def is_keras_2(version: str | None) -> bool:
    """Whether the file was saved before Keras 3."""
    return version is not None and version.startswith(("1.", "2."))


def way_out(version: str | None, kind: Kind, library: Any) -> str:
    """What to do when `library` cannot load a file of this version and format."""
    if is_keras_2(version) and not library.__name__.startswith("tf_keras"):
        return (
            f"Keras {version} saved it, and Keras {library.__version__} cannot load that; run: "
            f"pip install --no-deps {tf_keras_requirement()} and convert again"
        )
    again = "with this Keras" if kind == "keras" else "as model.save('model.keras')"
    return (
        f"save it again {again}, or export a SavedModel with the version that made it: "
        "model.export('folder')"
    )


def tf_keras_requirement() -> str:
    """The tf_keras that goes with the installed TensorFlow. Without --no-deps, pip would add a
    second TensorFlow beside tensorflow-cpu."""
    major, minor = str(tensorflow().__version__).split(".")[:2]
    return f"'tf_keras=={major}.{minor}.*'"


def in_float32(path: Path, model: Any) -> Any:
    """The model, with every layer that computes in another precision rebuilt in float32.

    A box computes in int8 or float32, and TFLite's converter has no kernels for bfloat16. The
    weights stay the same. Raises ModelError when the network cannot be rebuilt.
    """
    if not _types(model) & set(_REDUCED_TYPES):
        return model
    try:
        rebuilt = type(model).from_config(_with_float32(model.get_config()))
        if not rebuilt.built:
            rebuilt.build(model.input_shape)
        rebuilt.set_weights([weights.astype(_FLOAT) for weights in model.get_weights()])
    except Exception as error:  # a foreign model raises any class; the reason is passed on
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        types = ", ".join(sorted(_types(model)))
        raise ModelError(
            f"{path}: it computes in {types} and cannot be rebuilt in float32 ({reason}); build "
            "the network with the dtype policy float32, load its weights, and save it again"
        ) from error
    return rebuilt


def _types(model: Any) -> set[str]:
    """The types in which the layers compute, of nested models too."""
    found: set[str] = set()
    for layer in model.layers:
        found.add(str(getattr(layer, "compute_dtype", _FLOAT)))
        if hasattr(layer, "layers"):
            found |= _types(layer)
    return found


def _with_float32(config: Any) -> Any:
    """A configuration of Keras with float32 in place of every other floating-point policy."""
    if isinstance(config, list | tuple):
        return type(config)(_with_float32(value) for value in config)
    if not isinstance(config, dict):
        return config
    return {
        key: _FLOAT if key == "dtype" and _is_reduced(value) else _with_float32(value)
        for key, value in config.items()
    }


def _is_reduced(dtype: Any) -> bool:
    """Whether a `dtype` of a configuration is a policy or type other than float32 or an integer."""
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        dtype = inner.get("name") if isinstance(inner, dict) else None
    return isinstance(dtype, str) and dtype.removeprefix("mixed_") in _REDUCED_TYPES

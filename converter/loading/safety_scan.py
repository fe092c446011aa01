"""Scans a model file before Keras or TensorFlow open it.

Keras files can carry Python code, and archives can be zip bombs. This module runs no code of the
file, and measures every member before it inflates it.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from edge.core.errors import ModelError
from trainer.core import optional_import

Kind = Literal["keras", "h5", "saved_model"]

MAX_WEIGHT_BYTES = 2**30  # 268 million float32 parameters; no small box runs a tenth of it
MAX_CONFIG_BYTES = 64 * 2**20
MAX_RATIO = 200  # a large member that inflates more than this is no model
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PICKLE = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_OWN_MODULES = ("keras", "tf_keras", "builtins")  # tf_keras: Keras 2
# TensorFlow functions that layers of Keras 2 may call by name. Others use files or run Python.
_TF_CALLS = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod")
_TF_MODULES = ("__operators__", "image", "linalg", "math", "nn")
_TF_FUNCTIONS = frozenset(
    [
        "cast",
        "clip_by_value",
        "concat",
        "expand_dims",
        "identity",
        "ones_like",
        "pad",
        "reshape",
        "shape",
        "slice",
        "split",
        "squeeze",
        "stack",
        "stop_gradient",
        "strided_slice",
        "tile",
        "transpose",
        "unstack",
        "where",
        "zeros_like",
    ]
)
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"

# TensorFlow operators that run Python or use files. A classifier needs none of them.
_EXTERNAL_OPERATORS = frozenset(
    {"PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles"}
)


def scan_model_file(path: Path, *, allow_code: bool) -> Kind:
    """Checks that the model at `path` is safe to load, and returns its format.

    Raises ModelError when the file is missing, damaged, not a model or too large, or when it
    carries code without `allow_code`. The sentence names the layer with the code.
    """
    if path.is_dir():
        _scan_saved_model(path)
        return "saved_model"
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ModelError(
            f"{path}: the model cannot be read ({error.strerror or error}); train one"
        ) from error
    if start.startswith(_PICKLE):
        raise ModelError(
            f"{path}: a Python pickle, whatever its suffix; a pickle can run any code and is never "
            "opened; save the model with model.save('model.keras')"
        )
    if start[4:8] == b"TFL3":
        raise ModelError(
            f"{path}: already a TFLite file; give the Keras model that it was made from, or read "
            "it with edge-convert show"
        )
    if start == _HDF5:
        with path.open("rb") as file:
            config = _scan_hdf5(path, file, whole=True)
        _scan_config(path, config, allow_code=allow_code)
        return "h5"
    if path.suffix in (".h5", ".hdf5"):
        raise ModelError(
            f"{path}: not an HDF5 file (starts with {start!r}); save the model again, or copy it "
            "again"
        )
    _scan_archive(path, allow_code=allow_code)
    return "keras"


def _scan_archive(path: Path, *, allow_code: bool) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            for info in members.values():
                ratio = info.file_size / max(info.compress_size, 1)
                if info.file_size > MAX_WEIGHT_BYTES or (
                    ratio > MAX_RATIO and info.file_size > MAX_CONFIG_BYTES // 8
                ):
                    raise ModelError(
                        f"{path}: {info.filename} inside would inflate to {info.file_size:,} bytes "
                        f"from {info.compress_size:,}; no classifier for a small box does; save "
                        "the model again"
                    )
            missing = [name for name in (_CONFIG, _WEIGHTS) if name not in members]
            if missing:
                raise ModelError(
                    f"{path}: not a whole .keras file ({', '.join(missing)} is missing inside); "
                    "save it with model.save('model.keras')"
                )
            if members[_CONFIG].file_size > MAX_CONFIG_BYTES:
                raise ModelError(f"{path}: {_CONFIG} inside is too large; save the model again")
            config = json.loads(archive.read(_CONFIG))
            weights = io.BytesIO(archive.read(_WEIGHTS))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            f"{path}: not a whole .keras file ({error}); train again, or copy it again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: {_CONFIG} inside is not JSON ({error}); save the model again"
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error}); train one") from error
    _scan_hdf5(path, weights, whole=False)
    _scan_config(path, config, allow_code=allow_code)


def _scan_hdf5(path: Path, stream: Any, *, whole: bool) -> Any:
    """Checks sizes and links of an HDF5 file. Returns the configuration if the file is `whole`."""
    h5py = optional_import("h5py")
    try:
        with h5py.File(stream, "r") as file:
            total, outside = _inflated_bytes(h5py, file, "")
            raw = file.attrs.get("model_config") if whole else "{}"
    except Exception as error:  # a damaged HDF5 file raises any class; the reason is passed on
        raise ModelError(
            f"{path}: its weights are damaged or truncated ({_one_line(error)}); copy it again"
        ) from error
    if outside:
        raise ModelError(
            f"{path}: {outside} inside points to another file; weights must be in this "
            "file: save the model again"
        )
    if total > MAX_WEIGHT_BYTES:
        raise ModelError(
            f"{path}: its weights take {total:,} bytes of memory, the limit is "
            f"{MAX_WEIGHT_BYTES:,}; give a smaller network"
        )
    if raw is None:
        raise ModelError(
            f"{path}: contains weights without a network; save the whole model with "
            "model.save('model.keras')"
        )
    try:
        return json.loads(raw)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{path}: its model_config is not JSON ({_one_line(error)}); save the model again"
        ) from error


def _inflated_bytes(h5py: Any, group: Any, place: str) -> tuple[int, str]:
    """The inflated bytes below `group`, and the first link out of the file or ""."""
    total = 0
    for name in group:
        where = f"{place}/{name}"
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            return total, where
        item = group[name]
        if isinstance(item, h5py.Group):
            inner, outside = _inflated_bytes(h5py, item, where)
        else:
            inner, outside = int(item.nbytes), where if item.external or item.is_virtual else ""
        total += inner
        if outside or total > MAX_WEIGHT_BYTES:
            return total, outside
    return total, ""


def _scan_config(path: Path, config: Any, *, allow_code: bool) -> None:
    """Raises ModelError for layers that carry code, or whose code is not in the file."""
    for layer, entry in _serialised_objects(config, "the model"):
        name = entry.get("class_name")
        if name == "__lambda__" or (name == "Lambda" and _is_code(entry)):
            if not allow_code:
                raise ModelError(
                    f"{path}: the layer {layer!r} is a Lambda with Python code, which is not "
                    "run by default; give --allow-code if you trust the source of the file, or "
                    "build the network from Keras layers"
                )
            continue
        module = entry.get("module")
        if name in _TF_CALLS and not allow_code and not _only_computes(entry):
            raise ModelError(
                f"{path}: the layer {layer!r} calls a TensorFlow function that may use files or "
                "run code; give --allow-code if you trust the source of the file, or build the "
                "network from Keras layers"
            )
        parts = module.split(".") if isinstance(module, str) else ["keras"]
        foreign = parts[0] not in _OWN_MODULES or "utils" in parts  # keras.utils downloads files
        if foreign or (isinstance(name, str) and entry.get("registered_name") not in (None, name)):
            raise ModelError(
                f"{path}: the layer {layer!r} is of the class {entry.get('registered_name')!r} "
                f"from {module!r}, whose code is not in the file; build the network from Keras "
                "layers, or give a SavedModel of model.export('folder'), which needs no code"
            )


def _only_computes(entry: dict[str, Any]) -> bool:
    """Whether a layer that calls TensorFlow by name calls arithmetic only."""
    config = entry.get("config")
    function = config.get("function") if isinstance(config, dict) else None
    if entry.get("class_name") == "SlicingOpLambda" and function is None:
        return True
    names = str(function).removeprefix("compat.v1.").split(".")
    return names[0] in (_TF_MODULES if len(names) > 1 else _TF_FUNCTIONS)


def _is_code(entry: dict[str, Any]) -> bool:
    config = entry.get("config")
    return isinstance(config, dict) and "function" in config


def _serialised_objects(value: Any, layer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every serialised object in a configuration, with the name of its layer."""
    pending = [(value, layer)]
    while pending:
        found, layer = pending.pop()
        if isinstance(found, dict):
            config = found.get("config")
            if "class_name" in found:
                if isinstance(config, dict) and isinstance(config.get("name"), str):
                    layer = config["name"]
                yield layer, found
            pending += [(inner, layer) for inner in found.values()]
        elif isinstance(found, list):
            pending += [(inner, layer) for inner in found]


def _scan_saved_model(path: Path) -> None:
    graph = path / "saved_model.pb"
    if not graph.is_file():
        raise ModelError(
            f"{path}: a folder without saved_model.pb; give a .keras or .h5 file, or the folder "
            "that model.export made"
        )
    try:
        total = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        found = optional_import("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
        if total <= MAX_WEIGHT_BYTES:
            found.ParseFromString(graph.read_bytes())
    except Exception as error:  # protobuf has its own error classes; the reason is passed on
        raise ModelError(
            f"{graph}: damaged or truncated ({_one_line(error)}); export the model again"
        ) from error
    if total > MAX_WEIGHT_BYTES:
        raise ModelError(
            f"{path}: has {total:,} bytes, the limit is {MAX_WEIGHT_BYTES:,}; "
            "give a smaller network"
        )
    for meta in found.meta_graphs:
        nodes = list(meta.graph_def.node)
        for function in meta.graph_def.library.function:
            nodes += function.node_def
        for node in nodes:
            if node.op in _EXTERNAL_OPERATORS:
                raise ModelError(
                    f"{path}: the operator {node.op} at {node.name!r} runs Python or uses "
                    "files, which no classifier needs; export the model without it"
                )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

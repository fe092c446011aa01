"""Files of Keras 2 and networks of mixed precision: converted as they score, or refused with the
version and the command."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.cli.main import main
from converter.loading.safety_scan import scan_model_file
from converter.loading.source_model import SourceModel, SourceOverrides, load_source_model
from edge.core.errors import ModelError
from edge.inspection.inspector import load_inspector
from tests.conftest import Require
from tests.models.make import SIDE, redness
from tests.models.make_keras2 import FILES
from tests.support.foreign_models import draw
from tests.support.frames import solid
from tests.support.models import MODELS
from trainer.core import keras, optional_import

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("tensorflow")]

OURS = SourceOverrides(labels=("ok", "red"), scaling="inside")
INSTALL = "pip install --no-deps 'tf_keras==2.21.*'"


def largest_error(source: SourceModel) -> float:
    """The largest difference from the score by definition, over some levels of red."""
    levels = range(0, 256, 15)
    pictures = np.stack([solid(red, side=SIDE)[:, :, ::-1] for red in levels])
    found = source.probabilities(pictures)[:, 1]
    return float(np.abs(found - [redness(red) for red in levels]).max())


@pytest.mark.parametrize("name", FILES)
def test_keras_2_is_loaded_by_tf_keras(name: str, require: Require) -> None:
    """With tf_keras, a file of Keras 2 gives the scores of its network, in float32."""
    require("tf_keras", INSTALL)
    assert largest_error(load_source_model(MODELS / name, OURS)) < 1e-5


@pytest.mark.parametrize("name", FILES)
def test_keras_2_without_tf_keras_names_version_and_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tf_keras, the sentence names the version that saved it and the way out."""
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(ModelError) as caught:
        load_source_model(MODELS / name, OURS)
    assert "Keras 2.21.0 saved it, and Keras 3." in str(caught.value)
    assert "run: pip install --no-deps 'tf_keras==2." in str(caught.value)


def test_keras_2_is_converted(require: Require, tmp_path: Path) -> None:
    """edge-convert writes a model file whose scores are those of the Keras 2 network."""
    require("tf_keras", INSTALL)
    data, output = draw(tmp_path / "data", ("ok", "rust"), 40), tmp_path / "out.tflite"
    source = shutil.copy(MODELS / "keras2-mixed.h5", tmp_path)
    options = ["--labels", "ok,rust", "--scaling", "inside", "--scheme", "float32"]
    options += ["--without-tflite-runtime", "--allow-unlearned"]
    assert main([str(source), "--data", str(data), "-o", str(output), *options]) == 0
    inspector = load_inspector(output)
    for red in (0, 100, 180, 255):
        judged = inspector.judge(inspector.prepare(solid(red)))
        assert judged.score == pytest.approx(redness(red), abs=0.005)


def network(k: Any, policy: str) -> Any:
    """A model with a model inside, all layers of one dtype policy."""
    layers = k.layers
    inside = k.Input((8, 8, 4))
    y = layers.DepthwiseConv2D(3, padding="same", dtype=policy)(inside)
    inner = k.Model(inside, layers.BatchNormalization(dtype=policy)(y), name="inner")
    picture = k.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255, dtype=policy)(picture)
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", dtype=policy)(x)
    x = layers.GlobalAveragePooling2D(dtype=policy)(inner(x))
    return k.Model(picture, layers.Dense(2, activation="softmax", dtype=policy)(x))


@pytest.mark.parametrize(
    ("policy", "suffix"),
    [
        (policy, suffix)
        for policy in ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")
        for suffix in ("keras", "h5")
        if (policy, suffix) != ("bfloat16", "h5")  # Keras cannot load its own file; see below
    ],
)
def test_other_precision_is_loaded_in_float32(policy: str, suffix: str, tmp_path: Path) -> None:
    """A network of mixed, half or double precision is loaded as the float32 network of the same
    weights: the whole graph computes in float32."""
    k = keras()
    k.utils.set_random_seed(1)
    other, same = network(k, policy), network(k, "float32")
    same.set_weights([np.asarray(w, np.float32) for w in other.get_weights()])
    path = tmp_path / f"model.{suffix}"
    other.save(path)
    source = load_source_model(path, OURS)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    wanted = np.asarray(same(pictures.astype(np.float32), training=False))
    assert source.probabilities(pictures) == pytest.approx(wanted, abs=1e-6)
    operators = source.frozen.function.graph.get_operations()
    types = {tensor.dtype.name for op in operators for tensor in op.outputs}
    assert not types & {"float16", "bfloat16", "float64"}


def test_keras_cannot_load_its_own_file(tmp_path: Path) -> None:
    """Keras 3 writes weights of bfloat16 to .h5 and cannot read them; .keras is the way out."""
    path = tmp_path / "model.h5"
    network(keras(), "bfloat16").save(path)
    with pytest.raises(ModelError, match=r"save it again as model\.save\('model\.keras'\)"):
        load_source_model(path, OURS)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_saved_model_of_other_precision_names_the_way_out(policy: str, tmp_path: Path) -> None:
    """The graph of a SavedModel has no policy to change: the sentence says what to give."""
    network(keras(), policy).export(tmp_path / "saved", verbose=False)
    with pytest.raises(
        ModelError, match=rf"computes in {policy.removeprefix('mixed_')}, for"
    ) as no:
        load_source_model(tmp_path / "saved", OURS)
    assert "give the .keras or .h5 file" in str(no.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"class_name": "TFOpLambda", "function": "io.write_file"}, "calls a TensorFlow function"),
        ({"class_name": "TFOpLambda", "function": "py_function"}, "calls a TensorFlow function"),
        ({"class_name": "function", "module": "tf_keras.utils"}, "whose code is not in the file"),
        ({"class_name": "X", "module": "os.path"}, "whose code is not in the file"),
        ({"class_name": "Lambda", "function": ["4wEAAA==", None, None]}, "Lambda with Python code"),
    ],
)
def test_code_in_a_keras_2_file_is_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """tf_keras calls TensorFlow functions by name: only arithmetic is allowed."""
    path = tmp_path / "model.h5"
    shutil.copy(MODELS / "keras2.h5", path)
    with optional_import("h5py").File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layer = config["config"]["layers"][1]
        layer["class_name"] = change["class_name"]
        layer["config"]["function"] = change.get("function")
        layer["module"] = change.get("module", "keras.layers")
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelError, match=words):
        scan_model_file(path, allow_code=False)


def test_arithmetic_of_a_keras_2_file_is_loaded(require: Require, tmp_path: Path) -> None:
    """A functional model of Keras 2 with TensorFlow arithmetic between its layers is loaded."""
    require("tf_keras", INSTALL)
    k = optional_import("tf_keras")
    picture = k.Input((SIDE, SIDE, 3))
    mean = k.layers.GlobalAveragePooling2D()(picture / 255.0 * 2.0 - 1.0)
    model = k.Model(picture, k.layers.Dense(2, activation="softmax")(mean))
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    for suffix in ("h5", "keras"):
        path = tmp_path / f"model.{suffix}"
        model.save(path)
        found = load_source_model(path, OURS).probabilities(pixels)
        assert found == pytest.approx(np.asarray(model(pixels.astype(np.float32))), abs=1e-6)

"""Networks of keras.applications: the scale of their pixels, and the errors without weights."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.core.errors import EdgeInspectError, ModelError
from tests.trainer.conftest import Draw
from trainer.core.optional_imports import keras
from trainer.networks import build_network, hub, input_of

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("require_tensorflow", "require_train")]
SMALL = input_of("keras:MobileNetV2", 32)


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "DenseNet121", "MobileNetV3Small"])
def test_pixels_are_scaled_inside(name: str) -> None:
    """The first layer scales raw RGB pixels as the network's `preprocess_input` does."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 3)).astype(np.float64)
    builder = getattr(keras().applications, name)
    wanted = importlib.import_module(builder.__module__).preprocess_input(pixels.copy())
    picture = keras().Input((9, 9, 3))
    model = keras().Model(picture, hub.scaled_pixels(builder, picture))
    assert np.asarray(model(pixels.astype(np.float32))) == pytest.approx(wanted, abs=1e-3)


def test_the_scale_of_every_network_is_affine() -> None:
    """Every network of keras.applications scales its pixels by an affine function."""
    assert len(hub.names()) > 20
    for name in hub.names():
        module = importlib.import_module(getattr(keras().applications, name).__module__)
        kernel, _bias = hub.affine(module.preprocess_input)
        assert np.linalg.matrix_rank(kernel) == 3
    with pytest.raises(ModelError, match="not known here"):
        hub.affine(np.sqrt)


def test_an_unknown_name_gives_one_sentence() -> None:
    """The error suggests similar names; an unsupported side is an error too."""
    with pytest.raises(EdgeInspectError, match="did you mean MobileNetV2"):
        build_network("keras:MobilNet2", 2)
    with pytest.raises(EdgeInspectError, match="Keras cannot build it"):
        hub.from_hub("InceptionV3", SMALL, 2, weights=None)


WEIGHTS_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
WITHOUT_NETWORK = """
import socket, sys
def refuse(*_args, **_options):
    raise socket.gaierror(-2, "no network in this test")
socket.getaddrinfo = refuse
from trainer.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def _write_weights(path: Path) -> None:
    """Writes random weights in the format in which Keras publishes them."""
    keras().utils.set_random_seed(1)
    body = keras().applications.MobileNetV2(include_top=False, weights=None)
    with importlib.import_module("h5py").File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in body.layers]
        for layer in body.layers:
            group = file.create_group(layer.name)
            names = [f"weight{at}" for at in range(len(layer.weights))]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.get_weights()):
                group[name] = weight


def _train(data: Path, run: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs edge-train with MobileNetV2 without a network; `home` holds Keras' weights."""
    argv = [str(data), "-o", str(run), "--network", "keras:MobileNetV2", "--side", "32"]
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK, *argv, "--frozen", "--no-baseline"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"KERAS_HOME": str(home)},
    )


def test_cached_weights_are_used_and_missing_ones_are_an_error(
    tmp_path: Path, draw_dataset: Draw
) -> None:
    """Without network and weights edge-train prints one sentence and exits with 2 at once.

    With the weights in Keras' folder it trains the network.
    """
    data = draw_dataset(16)
    home = tmp_path / "home"
    missed = _train(data, tmp_path / "missed", home)
    assert missed.returncode == 2
    assert "its ImageNet weights cannot be fetched" in missed.stderr
    assert "--network pretrained" in missed.stderr
    assert "Traceback" not in missed.stderr
    assert "audit" not in missed.stdout

    (home / "models").mkdir(parents=True, exist_ok=True)
    _write_weights(home / "models" / WEIGHTS_FILE)
    done = _train(data, tmp_path / "run", home)
    assert done.returncode in (0, 1), done.stderr
    test = json.loads((tmp_path / "run/evaluation.json").read_text())["test"]
    assert test["n_defect"] == 16

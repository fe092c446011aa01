"""Fixtures: a small trained classifier and its conversion, once per session."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from converter.convert import Conversion, ConversionRequest, convert
from converter.loading.source_model import SourceModel, SourceOverrides, load_source_model
from edge.inspection.decision import Thresholds
from edge.inspection.model_file import OutputSpec
from edge.inspection.preprocessing import InputSpec
from trainer.data.dataset import load_dataset
from trainer.data.pictures import load_pictures
from trainer.networks.trained_model import TrainedSpec, save_trained

LABELS = ("ok", "rust")
SIDE = 24


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    """TensorFlow. Without it, the test is skipped, or fails under CI."""
    try:
        return pytest.importorskip("tensorflow", reason="pip install '.[train]'")
    except pytest.skip.Exception:
        if os.environ.get("CI"):
            pytest.fail("TensorFlow is not installed, and CI may skip no test")
        raise


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey noise with a red spot (rust) or a blue spot (ok): the colour order matters."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for label in LABELS:
        (root / label).mkdir()
        channel = 2 if label == "rust" else 0
        for at in range(120):
            pixels = rng.normal(90, 15, (SIDE + 6, SIDE + 6, 3))
            x, y = rng.integers(2, SIDE - 6, 2)
            pixels[y : y + 8, x : x + 8, channel] += rng.uniform(5, 80)
            picture = pixels.clip(0, 190).astype(np.uint8)
            cv2.imwrite(str(root / label / f"{at:03d}.png"), picture)
    return root


@pytest.fixture(scope="session")
def keras_model(data: Path, tensorflow: Any) -> Any:
    """A CNN on raw pixels that ends in a softmax, trained for a few seconds.

    Layers that tests look for have names, because Keras counts its default names per process.
    """
    keras = tensorflow.keras
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 5, strides=2, activation="relu", name="edges"),
            layers.Conv2D(16, 3, strides=2, activation="relu", name="shapes"),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="features"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    dataset = load_dataset(data)
    train = dataset.of("train")
    pictures = load_pictures(train, InputSpec(width=SIDE, height=SIDE)).astype(np.float32)
    truth = np.array([dataset.labels.index(sample.label) for sample in train])
    model.fit(pictures, truth, epochs=20, batch_size=16, verbose=0)
    return model


@pytest.fixture(scope="session")
def trained(keras_model: Any, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier as a .keras file of edge-train."""
    path = tmp_path_factory.mktemp("trained") / "model.keras"
    spec = TrainedSpec(
        name="rust finder",
        version="1",
        labels=LABELS,
        input=InputSpec(width=SIDE, height=SIDE),
        output=OutputSpec(kind="probabilities"),
        thresholds=Thresholds(reject_at=0.5, review_from=0.5),
        data={
            "fingerprint": load_dataset(data).fingerprint(),
            "split_seed": 0,
            "validation_fraction": 0.2,
            "test_fraction": 0.25,
        },
    )
    save_trained(keras_model, spec, path)
    return path


@pytest.fixture(scope="session")
def source(trained: Path) -> SourceModel:
    """The classifier, loaded for conversion."""
    return load_source_model(trained, SourceOverrides())


@pytest.fixture(scope="session")
def conversion(trained: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    """One valid conversion. Tests must not change it."""
    output = tmp_path_factory.mktemp("converted") / "rust.tflite"
    return convert(ConversionRequest(trained, data, output))

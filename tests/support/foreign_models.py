"""Twelve classifiers that this project did not train, for tests of edge-convert.

Networks of keras.applications have random weights and a last layer that is fitted on images drawn
here, so that they judge. The others are small and made by hand.
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from converter.loading import SCALINGS
from edge.inspection.preprocessing import InputSpec
from trainer.core import keras
from trainer.data import load_dataset, load_pictures
from trainer.training.logistic import fit_logistic

TWO = ("ok", "rust")
FIVE = ("ok", "blue", "dark", "rust", "white")
_COLOURS = {  # BGR, what a spot adds to grey
    "ok": (0.0, 0.0, 0.0),
    "rust": (-20.0, -10.0, 60.0),
    "blue": (60.0, -10.0, -20.0),
    "dark": (-60.0, -60.0, -60.0),
    "white": (60.0, 60.0, 60.0),
}

Body = Callable[[Any, int], tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A classifier of other hands.

    `body` gives Keras's input and features for a side in pixels; `ending` is the last activation;
    `saved` the file it is saved as. `refused` are words of the refusal, empty for one that must
    be right. `random` ones are deep and have random weights: they tell little apart and magnify
    what int8 changes, so that the gate is right to refuse int8 and to take a wider scheme.
    """

    name: str
    body: Body
    saved: str = "model.keras"
    scaling: str = "inside"
    labels: tuple[str, ...] = TWO
    ending: str = "softmax"
    options: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    random: bool = False


def _application(name: str, **settings: Any) -> Body:
    def body(k: Any, side: int) -> tuple[Any, Any]:
        network = getattr(k.applications, name)(
            weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3), **settings
        )
        return network.input, network.output

    return body


def _small(k: Any, entered: Any, change: Callable[[Any], Any] = lambda x: x) -> Any:
    """A small residual network with depthwise convolution and batch norm."""
    layers = k.layers
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(entered)
    x = change(layers.ReLU()(layers.BatchNormalization(name="stem_norm")(x)))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.Conv2D(8, 1, name="pointwise")(layers.BatchNormalization()(y))
    x = layers.Add(name="residual")([x, y])
    x = layers.Conv2D(16, 3, strides=2, activation="relu", name="last_map")(x)
    pooled = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    return layers.Concatenate(name="features")(pooled)


def _plain(channels: int = 3) -> Body:
    def body(k: Any, side: int) -> tuple[Any, Any]:
        entered = k.Input((side, side, channels))
        return entered, _small(k, entered)

    return body


def _any_size(k: Any, _side: int) -> tuple[Any, Any]:
    entered = k.Input((None, None, 3))
    return entered, _small(k, k.layers.Rescaling(1 / 255, name="rescaling")(entered))


def _nested(k: Any, side: int) -> tuple[Any, Any]:
    inside = k.Input((side, side, 3))
    inner = k.Model(inside, _small(k, inside), name="inner")
    middle = k.Sequential([k.Input((side, side, 3)), inner], name="middle")
    entered = k.Input((side, side, 3))
    return entered, middle(entered)


def _lambda(k: Any, side: int) -> tuple[Any, Any]:
    entered = k.Input((side, side, 3))
    halved = k.layers.Lambda(lambda pixels: pixels / 255.0 - 0.5, name="to_half")(entered)
    return entered, _small(k, halved)


def _unsupported(k: Any, side: int) -> tuple[Any, Any]:
    entered = k.Input((side, side, 3))
    return entered, _small(k, entered, k.ops.erf)


FOREIGN = (
    Foreign("MobileNetV2", _application("MobileNetV2", alpha=0.35), scaling="signed", random=True),
    Foreign("MobileNetV3Small", _application("MobileNetV3Small"), random=True),
    Foreign("EfficientNetB0", _application("EfficientNetB0"), random=True),
    Foreign("ResNet50", _application("ResNet50"), scaling="caffe", random=True),
    Foreign(
        "DenseNet121", _application("DenseNet121"), saved="saved", scaling="torch", random=True
    ),
    Foreign("sigmoid", _plain(), saved="model.h5", scaling="0-1", ending="sigmoid"),
    Foreign("grey", _plain(1), saved="saved", scaling="signed", labels=("ok", "dark")),
    Foreign("five classes", _plain(), scaling="0-1", labels=FIVE),
    Foreign("nested models", _nested, scaling="0-1"),
    Foreign(
        "built-in rescaling, any size, logits",
        _any_size,
        ending="linear",
        options=("--output-kind", "logits", "--input-size", "32x32"),
    ),
    Foreign("lambda layer", _lambda, refused=("'to_half'", "--allow-code")),
    Foreign("unsupported operator", _unsupported, scaling="0-1", refused=("'erf'", "gelu")),
)


def draw(root: Path, labels: tuple[str, ...], each: int, side: int = 40) -> Path:
    """A data set of grey noise with a spot of the class's own colour; returns `root`."""
    rng = np.random.default_rng(0)
    for label in labels:
        (root / label).mkdir(parents=True)
        for at in range(each):
            pixels = rng.normal(110, 6, (side, side, 3))
            x, y = rng.integers(0, side // 4, 2)
            spot = 3 * side // 4  # large, so that deep random networks see it above the noise
            pixels[y : y + spot, x : x + spot] += np.array(_COLOURS[label]) * rng.uniform(0.2, 1)
            cv2.imwrite(str(root / label / f"{at:03d}.png"), pixels.clip(0, 255).astype(np.uint8))
    return root


def save(foreign: Foreign, data: Path, folder: Path, side: int) -> Path:
    """Builds it, fits its last layer on the train part of `data`, and saves it in `folder`."""
    k = keras()
    k.utils.set_random_seed(5)
    entered, features = foreign.body(k, side)
    body = k.Model(entered, features)
    dataset = load_dataset(data)
    samples = dataset.of("train")
    channels = entered.shape[-1]
    recipe = InputSpec(
        width=side, height=side, channels=channels, colour="grey" if channels == 1 else "rgb"
    )
    pixels = load_pictures(samples, recipe).astype(np.float32)
    scaled = SCALINGS[foreign.scaling](pixels)
    _settle(k, body, np.asarray(scaled[:64]))
    rows = [
        np.asarray(body(scaled[at : at + 16], training=False)) for at in range(0, len(pixels), 16)
    ]
    truth = np.array([foreign.labels.index(sample.label) for sample in samples])
    found, _, _ = fit_logistic(
        np.concatenate(rows).astype(np.float64),
        truth,
        np.arange(len(truth)),
        len(foreign.labels),
        0,
    )
    # Fitted on easy pictures it is unsure of all; sharp scores are what quantising can spoil.
    gain = 3 / max(float(found.logits(np.concatenate(rows).astype(np.float64)).std()), 1e-9)
    kernel = gain * found.kernel / found.deviation[:, None]
    bias = gain * found.bias - found.mean @ kernel
    if foreign.ending == "sigmoid":
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    last = k.layers.Dense(len(bias), activation=foreign.ending, name="answer")
    model = k.Model(entered, last(features))
    last.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    path = folder / foreign.saved
    with contextlib.redirect_stdout(io.StringIO()):
        model.export(path) if foreign.saved == "saved" else model.save(path)
    return path


def _settle(k: Any, body: Any, pixels: NDArray[np.float32]) -> None:
    """Sets batch norm to what it sees: with random weights a deep network is else near zero."""
    norms = [layer for layer in body.layers if isinstance(layer, k.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    body(pixels, training=True)


def options_for(foreign: Foreign, side: int) -> list[str]:
    """What edge-convert must be told of it."""
    told = [option.replace("32x32", f"{side}x{side}") for option in foreign.options]
    told += ["--allow-unlearned"] if foreign.random else []
    return ["--labels", ",".join(foreign.labels), "--scaling", foreign.scaling, *told]

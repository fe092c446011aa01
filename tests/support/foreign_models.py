"""Twelve classifiers from outside the project, for tests of edge-convert.

Networks of keras.applications have random weights and a last layer that is fitted on synthetic
images. The others are small and built here.
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

from converter.loading import scale_pixels
from edge.core.terms import Scaling
from edge.inspection.pixel_scaling import SCALINGS
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
class ForeignModel:
    """A classifier that edge-train did not make.

    - `body`: gives Keras's input and features for a side in pixels.
    - `saved`: the name of its file.
    - `ending`: the last activation.
    - `refused`: words of the refusal; empty for a model that must convert.
    - `random`: deep networks with random weights separate the classes badly and amplify the error
      of int8, so the gate may refuse int8 for a wider scheme.
    """

    name: str
    body: Body
    saved: str = "model.keras"
    scaling: Scaling = "inside"
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


def _small(k: Any, pixels_in: Any, change: Callable[[Any], Any] = lambda x: x) -> Any:
    """A small residual network with depthwise convolution and batch norm."""
    layers = k.layers
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(pixels_in)
    x = change(layers.ReLU()(layers.BatchNormalization(name="stem_norm")(x)))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.Conv2D(8, 1, name="pointwise")(layers.BatchNormalization()(y))
    x = layers.Add(name="residual")([x, y])
    x = layers.Conv2D(16, 3, strides=2, activation="relu", name="last_map")(x)
    pooled = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    return layers.Concatenate(name="features")(pooled)


def _plain(channels: int = 3) -> Body:
    def body(k: Any, side: int) -> tuple[Any, Any]:
        pixels_in = k.Input((side, side, channels))
        return pixels_in, _small(k, pixels_in)

    return body


def _any_size(k: Any, _side: int) -> tuple[Any, Any]:
    pixels_in = k.Input((None, None, 3))
    return pixels_in, _small(k, k.layers.Rescaling(1 / 255, name="rescaling")(pixels_in))


def _nested(k: Any, side: int) -> tuple[Any, Any]:
    inside = k.Input((side, side, 3))
    inner = k.Model(inside, _small(k, inside), name="inner")
    middle = k.Sequential([k.Input((side, side, 3)), inner], name="middle")
    pixels_in = k.Input((side, side, 3))
    return pixels_in, middle(pixels_in)


def _lambda(k: Any, side: int) -> tuple[Any, Any]:
    pixels_in = k.Input((side, side, 3))
    halved = k.layers.Lambda(lambda pixels: pixels / 255.0 - 0.5, name="to_half")(pixels_in)
    return pixels_in, _small(k, halved)


def _unsupported(k: Any, side: int) -> tuple[Any, Any]:
    pixels_in = k.Input((side, side, 3))
    return pixels_in, _small(k, pixels_in, k.ops.erf)


FOREIGN_MODELS = (
    ForeignModel(
        "MobileNetV2", _application("MobileNetV2", alpha=0.35), scaling="signed", random=True
    ),
    ForeignModel("MobileNetV3Small", _application("MobileNetV3Small"), random=True),
    ForeignModel("EfficientNetB0", _application("EfficientNetB0"), random=True),
    ForeignModel("ResNet50", _application("ResNet50"), scaling="caffe", random=True),
    ForeignModel(
        "DenseNet121", _application("DenseNet121"), saved="saved", scaling="torch", random=True
    ),
    ForeignModel("sigmoid", _plain(), saved="model.h5", scaling="0-1", ending="sigmoid"),
    ForeignModel("grey", _plain(1), saved="saved", scaling="signed", labels=("ok", "dark")),
    ForeignModel("five classes", _plain(), scaling="0-1", labels=FIVE),
    ForeignModel("nested models", _nested, scaling="0-1"),
    ForeignModel(
        "built-in rescaling, any size, logits",
        _any_size,
        ending="linear",
        options=("--output-kind", "logits", "--input-size", "32x32"),
    ),
    ForeignModel("lambda layer", _lambda, refused=("'to_half'", "--allow-code")),
    ForeignModel("unsupported operator", _unsupported, scaling="0-1", refused=("'erf'", "gelu")),
)


def draw(root: Path, labels: tuple[str, ...], each: int, side: int = 40) -> Path:
    """Writes a data set of grey noise with a spot in the colour of the class. Returns `root`."""
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


def save(foreign: ForeignModel, data: Path, folder: Path, side: int) -> Path:
    """Builds the model, fits its last layer on the train set of `data`, saves it in `folder`."""
    k = keras()
    k.utils.set_random_seed(5)
    pixels_in, features = foreign.body(k, side)
    body = k.Model(pixels_in, features)
    dataset = load_dataset(data)
    samples = dataset.of("train")
    channels = pixels_in.shape[-1]
    input_spec = InputSpec(
        width=side, height=side, channels=channels, colour="grey" if channels == 1 else "rgb"
    )
    pixels = load_pictures(samples, input_spec).astype(np.float32)
    scaled = scale_pixels(SCALINGS[foreign.scaling], pixels)
    _fit_batch_norm(k, body, np.asarray(scaled[:64]))
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
    # The fit gives flat scores. Sharp scores are more sensitive to quantisation.
    gain = 3 / max(float(found.logits(np.concatenate(rows).astype(np.float64)).std()), 1e-9)
    kernel = gain * found.kernel / found.deviation[:, None]
    bias = gain * found.bias - found.mean @ kernel
    if foreign.ending == "sigmoid":
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    last = k.layers.Dense(len(bias), activation=foreign.ending, name="answer")
    model = k.Model(pixels_in, last(features))
    last.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    path = folder / foreign.saved
    with contextlib.redirect_stdout(io.StringIO()):
        model.export(path) if foreign.saved == "saved" else model.save(path)
    return path


def _fit_batch_norm(k: Any, body: Any, pixels: NDArray[np.float32]) -> None:
    """Sets batch norm to the data. Otherwise the output of a deep random network is near zero."""
    norms = [layer for layer in body.layers if isinstance(layer, k.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    body(pixels, training=True)


def options_for(foreign: ForeignModel, side: int) -> list[str]:
    """The options of edge-convert for the model."""
    options = [option.replace("32x32", f"{side}x{side}") for option in foreign.options]
    options += ["--allow-unlearned"] if foreign.random else []
    return ["--labels", ",".join(foreign.labels), "--scaling", foreign.scaling, *options]

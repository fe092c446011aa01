"""Networks of keras.applications with the ImageNet weights that Keras downloads: `keras:NAME`.

Each network expects its pixels in another scale. This module derives the scale from Keras'
`preprocess_input` and makes it the first layer, so that no caller can forget it.
"""

import difflib
import importlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError, ModelError
from edge.inspection import InputSpec
from trainer.core import keras
from trainer.networks.terms import HEAD

PREFIX = "keras:"
INPUT = InputSpec(width=224, height=224)  # the size of nearly all pretrained weights
MAX_SUGGESTIONS = 3
DOWNLOAD_ERROR = "URL fetch failure"  # Keras' get_file raises a plain Exception with this text


def from_hub(name: str, spec: InputSpec, classes: int, weights: str | None = "imagenet") -> Any:
    """A model of raw RGB pixels, 0 to 255, that ends in a new softmax, not compiled.

    `name` is that of keras.applications, without the prefix. Mean and maximum pool the last map.
    `weights` None gives random weights. Raises EdgeInspectError for an unknown name or an
    unsupported side, ModelError when the weights cannot be downloaded.
    """
    library = keras()
    layers = library.layers
    builder = _builder(name)
    picture = library.Input(spec.shape, name="picture")
    scaled = scaled_pixels(builder, picture)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about weights of another side: layers accept them
            body = builder(include_top=False, weights=weights, input_tensor=scaled)
    except ValueError as error:
        raise EdgeInspectError(
            f"--network {PREFIX}{name} --side {spec.width}: Keras cannot build it "
            f"({_first_line(error)}); choose another --side, or another network"
        ) from error
    except Exception as error:
        if DOWNLOAD_ERROR not in str(error):
            raise
        raise ModelError(
            f"--network {PREFIX}{name}: its ImageNet weights cannot be fetched "
            f"({_first_line(error)}); connect this machine to the internet, put the file into "
            "~/.keras/models, or take --network pretrained, whose weights are installed"
        ) from error
    pooled = [
        layers.GlobalAveragePooling2D(name="mean")(body.output),
        layers.GlobalMaxPooling2D(name="max")(body.output),
    ]
    features = layers.Concatenate(name="features")(pooled)
    output = layers.Dense(classes, activation="softmax", name=HEAD)(features)
    return library.Model(picture, output, name=name.lower())


def names() -> tuple[str, ...]:
    """The names of the networks in keras.applications."""
    found = vars(keras().applications).items()
    return tuple(sorted(name for name, one in found if callable(one) and name[:1].isupper()))


def _builder(name: str) -> Any:
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, MAX_SUGGESTIONS, 0.3) or known
        raise EdgeInspectError(
            f"--network {PREFIX}{name}: keras.applications has no such network; "
            f"did you mean {', '.join(close)}?"
        )
    return getattr(keras().applications, name)


def scaled_pixels(builder: Any, pixels: Any) -> Any:
    """`pixels` after a layer that does the same as the network's `preprocess_input`."""
    layers = keras().layers
    kernel, bias = affine(importlib.import_module(builder.__module__).preprocess_input)
    if np.allclose(kernel, kernel[0, 0] * np.eye(3)) and np.allclose(bias, bias[0]):
        return layers.Rescaling(float(kernel[0, 0]), float(bias[0]), name="scale")(pixels)
    mix = layers.Conv2D(3, 1, name="scale", trainable=False)
    scaled = mix(pixels)
    mix.set_weights([kernel[None, None].astype(np.float32), bias.astype(np.float32)])
    return scaled


def affine(prepare: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel (3, 3) and bias (3,) of a function of RGB pixels, found from sample pixels.

    Raises ModelError for a function that is not affine.
    """
    samples = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3), [[17.0, 203.0, 91.0]]])
    found = np.asarray(prepare(samples[None].copy()), np.float64)[0]
    bias = found[0]
    kernel = (found[1:4] - bias) / 255
    if not np.allclose(samples[4] @ kernel + bias, found[4], atol=1e-3):
        raise ModelError("the network prepares its pixels in a way that is not known here")
    return kernel, bias


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

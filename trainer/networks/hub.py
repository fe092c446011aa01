"""Any network of keras.applications, with the ImageNet weights that Keras fetches: `keras:NAME`.

What a network wants of its pixels differs from one to the next; it is found by asking Keras'
own preparation, and becomes the first layer, so that no caller can forget it.
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
INPUT = InputSpec(width=224, height=224)  # what nearly all of them were trained with
CLOSE = 3
FETCH = "URL fetch failure"  # get_file has no exception of its own


def from_hub(name: str, spec: InputSpec, classes: int, weights: str | None = "imagenet") -> Any:
    """Raw RGB pixels, 0 to 255; ends in a new softmax over `classes`, not compiled.

    `name` is as in keras.applications, without the prefix. The last map is pooled by mean and by
    maximum. `weights` None begins with random ones. Raises EdgeInspectError for a name that does
    not exist or a side that does not suit it, ModelError when the weights cannot be had.
    """
    library = keras()
    layers = library.layers
    builder = _builder(name)
    entered = library.Input(spec.shape, name="picture")
    prepared = _prepared(builder, entered)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that weights are of another side: layers do not care
            body = builder(include_top=False, weights=weights, input_tensor=prepared)
    except ValueError as error:
        raise EdgeInspectError(
            f"--network {PREFIX}{name} --side {spec.width}: Keras cannot build it "
            f"({_first_line(error)}); choose another --side, or another network"
        ) from error
    except Exception as error:
        if FETCH not in str(error):
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
    answer = layers.Dense(classes, activation="softmax", name=HEAD)(features)
    return library.Model(entered, answer, name=name.lower())


def names() -> tuple[str, ...]:
    """What stands in keras.applications."""
    found = vars(keras().applications).items()
    return tuple(sorted(name for name, one in found if callable(one) and name[:1].isupper()))


def _builder(name: str) -> Any:
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, CLOSE, 0.3) or known
        raise EdgeInspectError(
            f"--network {PREFIX}{name}: keras.applications has no such network; "
            f"did you mean {', '.join(close)}?"
        )
    return getattr(keras().applications, name)


def _prepared(builder: Any, pixels: Any) -> Any:
    """The layer that does to pixels what the network's own `preprocess_input` does."""
    layers = keras().layers
    kernel, bias = affine(importlib.import_module(builder.__module__).preprocess_input)
    if np.allclose(kernel, kernel[0, 0] * np.eye(3)) and np.allclose(bias, bias[0]):
        return layers.Rescaling(float(kernel[0, 0]), float(bias[0]), name="scale")(pixels)
    mixed = layers.Conv2D(3, 1, name="scale", trainable=False)
    prepared = mixed(pixels)
    mixed.set_weights([kernel[None, None].astype(np.float32), bias.astype(np.float32)])
    return prepared


def affine(prepare: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel (3, 3) and bias (3,) of a preparation of RGB pixels, found by trying it.

    Raises ModelError for one that is more than a product and a sum.
    """
    tried = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3), [[17.0, 203.0, 91.0]]])
    found = np.asarray(prepare(tried[None].copy()), np.float64)[0]
    bias = found[0]
    kernel = (found[1:4] - bias) / 255
    if not np.allclose(tried[4] @ kernel + bias, found[4], atol=1e-3):
        raise ModelError("the network prepares its pixels in a way that is not known here")
    return kernel, bias


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

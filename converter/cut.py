"""Where a Keras classifier is cut: an int8 body, a head in float, and no softmax at all."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from trainer.extra import keras


@dataclass(frozen=True, slots=True)
class Head:
    """A last dense layer without its softmax. `weights` is (features, n), `bias` is (n,)."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cut:
    """`body` maps pixels to features, or to logits when there is no `head`.

    Features that the model concatenates are outputs of their own, in that order: in one int8
    tensor they would share one scale, and those of small range would lose what they say.
    `ends_in_softmax` says whether a softmax was cut off: only then did the model give
    probabilities, and only then are the logits known to be logits.
    """

    body: Any
    head: Head | None
    ends_in_softmax: bool


def cut(model: Any, name: str) -> Cut:
    """Cuts a Keras classifier behind its features. Raises ModelError naming the layer in the way.

    A softmax in int8 has steps of 1/256 and ties the surest pictures; int8 logits are steps, too.
    So the softmax goes (it is computed on the box, in float) and the last dense layer stays float.
    """
    k = keras()
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"{name}: it has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
            "a picture classifier has one of each"
        )
    last = model.layers[-1]
    if isinstance(last, k.Model):
        raise ModelError(
            f"{name}: its last layer {last.name!r} is a whole model, whose softmax cannot be cut "
            "off; build the classifier as one model with a Dense layer as its last"
        )
    softmaxed = _is_softmax(k, last)
    if softmaxed and not isinstance(last, k.layers.Dense):
        model = _up_to(k, model, last, name)
        last = model.layers[-1]
    elif softmaxed:
        return Cut(_up_to(k, model, last, name), _head(last), ends_in_softmax=True)
    if isinstance(last, k.layers.Dense) and last.activation is k.activations.linear:
        return Cut(_up_to(k, model, last, name), _head(last), softmaxed)
    return Cut(model, None, softmaxed)


def _is_softmax(k: Any, layer: Any) -> bool:
    return isinstance(layer, k.layers.Softmax) or (
        getattr(layer, "activation", None) is k.activations.softmax
    )


def _head(dense: Any) -> Head:
    weights, *bias = (np.asarray(values, np.float32) for values in dense.get_weights())
    return Head(weights, bias[0] if bias else np.zeros(weights.shape[1], np.float32))


def _up_to(k: Any, model: Any, layer: Any, name: str) -> Any:
    """The model up to the input of `layer`."""
    try:
        return k.Model(model.inputs, _apart(k, layer.input), name="body")
    except (AttributeError, ValueError) as error:
        raise ModelError(
            f"{name}: the layer {layer.name!r} cannot be cut off ({error}); "
            "use each layer once, in a Sequential or functional model"
        ) from error


def _apart(k: Any, features: Any) -> Any:
    """What a concatenation of feature vectors was made from; other features as they are."""
    made_by = getattr(features, "_keras_history", None)
    layer = getattr(made_by, "operation", None)
    if (
        not isinstance(layer, k.layers.Concatenate)
        or len(features.shape) != 2
        or len(layer._inbound_nodes) != 1  # used once: its inputs are not ambiguous
    ):
        return features
    return list(layer.input)

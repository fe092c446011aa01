"""Why TensorFlow could not convert a network, in a sentence that names the layer and a way out."""

import re

from converter.loading import FrozenGraph

# An MLIR error may be pages long; these name operators of TensorFlow, and of TFLite.
_MISSING = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_UNQUANTISED = re.compile(r"Quantization (?:to \S+ )?not yet supported for op:? '?(\w+)'?")

# What computes the same, or nearly, of operators that TFLite has.
_INSTEAD = {
    "Erf": "use the activation 'gelu' with approximate=True, or tanh",
    "FFT2D": "compute the spectrum before the network, or use Conv2D",
    "ScaleAndTranslate": "use UpSampling2D(interpolation='bilinear')",
    "Digamma": "use relu",
}
_LOOPS = ("While", "StatelessWhile", "If", "StatelessIf", "TensorListStack", "TensorListReserve")
_ELSE = "replace it by layers of Conv2D, Dense, pooling, batch norm and relu, or leave it out"


def explain_failure(error: Exception, scheme: str, frozen: FrozenGraph, name: str) -> str:
    """The sentence for a conversion that failed with `error`."""
    text = str(error)
    missing = list(dict.fromkeys(_MISSING.findall(text)))
    if missing:
        reasons = []
        for operator in missing:
            layers = frozen.layers_with(operator)
            where = " and ".join(repr(layer) for layer in layers[:3]) or "the network"
            reasons.append(f"{where} needs the operator {operator}")
        way = _INSTEAD.get(missing[0], _ELSE)
        return f"{name}: the layer {', '.join(reasons)}, which TFLite does not have; {way}"
    unquantised = _UNQUANTISED.search(text)
    if unquantised:
        return (
            f"{name}: TFLite has no {unquantised[1]} in {scheme}; replace the layer that uses it, "
            "or choose another --scheme"
        )
    return (
        f"{name}: TensorFlow cannot convert it to {scheme} ({_reason(text)}); replace the layer "
        "that it names, or choose another --scheme"
    )


def loop_error(frozen: FrozenGraph, name: str) -> str:
    """The sentence for a network with loops or branches: TFLite keeps those as further graphs."""
    layers = [layer for operator in _LOOPS for layer in frozen.layers_with(operator)]
    where = " and ".join(repr(layer) for layer in dict.fromkeys(layers)) or "the network"
    return (
        f"{name}: the layer {where} computes in a loop or a branch, which cannot be quantised; "
        "say unroll=True for a recurrent layer and save the model again, or replace it by Conv2D "
        "or Dense layers"
    )


def _reason(text: str) -> str:
    """The one telling line of an error that may be pages long."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line] or lines or ["no reason given"]
    return telling[0][:300]

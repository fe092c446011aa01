"""Turns TensorFlow's conversion errors into one sentence with the layer and the fix."""

import re

from converter.loading import FrozenGraph

# An MLIR error can be pages long. These patterns find the operators of TensorFlow and of TFLite.
_MISSING = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_UNQUANTISED = re.compile(r"Quantization (?:to \S+ )?not yet supported for op:? '?(\w+)'?")

# For each operator that TFLite lacks: how to compute the same, or nearly the same.
_REPLACEMENTS = {
    "Erf": "use the activation 'gelu' with approximate=True, or tanh",
    "FFT2D": "compute the spectrum before the network, or use Conv2D",
    "ScaleAndTranslate": "use UpSampling2D(interpolation='bilinear')",
    "Digamma": "use relu",
}
_LOOPS = ("While", "StatelessWhile", "If", "StatelessIf", "TensorListStack", "TensorListReserve")
_DEFAULT_ADVICE = (
    "replace it by Conv2D, Dense, pooling, batch norm and relu layers, or leave it out"
)


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
        fix = _REPLACEMENTS.get(missing[0], _DEFAULT_ADVICE)
        return f"{name}: the layer {', '.join(reasons)}, which TFLite does not have; {fix}"
    unquantised = _UNQUANTISED.search(text)
    if unquantised:
        return (
            f"{name}: TFLite has no {unquantised[1]} for {scheme}; replace the layer that uses it, "
            "or choose another --scheme"
        )
    return (
        f"{name}: TensorFlow cannot convert it to {scheme} ({_reason(text)}); replace the layer "
        "that it names, or choose another --scheme"
    )


def loop_error(frozen: FrozenGraph, name: str) -> str:
    """The sentence for a network with loops or branches, which TFLite keeps as separate graphs."""
    layers = [layer for operator in _LOOPS for layer in frozen.layers_with(operator)]
    where = " and ".join(repr(layer) for layer in dict.fromkeys(layers)) or "the network"
    return (
        f"{name}: the layer {where} has a loop or a branch, which cannot be quantised; "
        "set unroll=True in a recurrent layer and save the model again, or replace it by Conv2D "
        "or Dense layers"
    )


def _reason(text: str) -> str:
    """The line with the reason, from an error that can be pages long."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    error_lines = [line for line in lines if "error:" in line] or lines or ["no reason given"]
    return error_lines[0][:300]

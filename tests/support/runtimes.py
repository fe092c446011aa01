"""The installed TFLite runtimes."""

import importlib.util

from edge.core.terms import Runtime

_RUNTIMES: dict[Runtime, str] = {
    "litert": "ai_edge_litert",
    "tflite-runtime": "tflite_runtime",
}


def installed_runtimes() -> list[Runtime]:
    """The names of the installed TFLite runtimes."""
    return [name for name, module in _RUNTIMES.items() if importlib.util.find_spec(module)]

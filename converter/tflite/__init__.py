"""TFLite files and runtimes."""

from converter.tflite.operator_profile import OperatorTime, operator_times
from converter.tflite.runtimes import Runner, find_runners
from converter.tflite.tflite_graph import (
    Operator,
    graph_count,
    operators,
    read_model,
    with_byte_input,
    with_float_head,
    with_joined_outputs,
    write_model,
)

__all__ = [
    "Operator",
    "OperatorTime",
    "Runner",
    "find_runners",
    "graph_count",
    "operator_times",
    "operators",
    "read_model",
    "with_byte_input",
    "with_float_head",
    "with_joined_outputs",
    "write_model",
]

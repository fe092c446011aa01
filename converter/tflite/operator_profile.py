"""How long each operator of a .tflite takes here: each is cut out and run alone."""

import copy
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from converter.loading import FrozenGraph, silence_tensorflow
from converter.tflite.tflite_graph import operator_name, read_model, write_model
from edge.inspection import runtime_module

WARM, TIMED = 3, 15


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """An operator, the layer it belongs to, and its median milliseconds alone, one thread.

    `output` is the name of the tensor that it makes.
    """

    operator: str
    layer: str
    milliseconds: float
    output: str = ""


def operator_times(tflite: bytes, frozen: FrozenGraph) -> tuple[OperatorTime, ...]:
    """The operators in the order in which they run, with the default runtime.

    Alone each pays for being called, and what the runtime fuses or keeps packed is not: the sum is
    not the time of the whole, the proportions are what to look at.
    """
    schema, model = read_model(tflite)
    graph = model.subgraphs[0]
    found = []
    for operator in graph.operators:
        name = bytes(graph.tensors[operator.outputs[0]].name).decode(errors="replace")
        code = model.operatorCodes[operator.opcodeIndex]
        alone = _alone(schema, model, operator)
        if not len(alone.subgraphs[0].inputs):
            continue  # it unpacks a constant, once, when the model is loaded
        layer = frozen.layer_of(name)
        chosen = _milliseconds(write_model(alone))
        found.append(OperatorTime(operator_name(schema, code), layer, chosen, name))
    return tuple(found)


def _alone(schema: Any, model: Any, operator: Any) -> Any:
    """A model of this operator only: what it computes from becomes input, constants stay."""
    graph = model.subgraphs[0]
    output_pixels = list(
        dict.fromkeys(int(at) for at in (*operator.inputs, *operator.outputs) if at >= 0)
    )
    small = schema.ModelT()
    small.version, small.description = model.version, b""
    code = model.operatorCodes[operator.opcodeIndex]
    small.operatorCodes = [code]
    small.buffers = [schema.BufferT()]
    tensors = []
    for place in output_pixels:
        tensor = copy.copy(graph.tensors[place])
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data):
            small.buffers.append(schema.BufferT(data=data))
            tensor.buffer = len(small.buffers) - 1
        tensors.append(tensor)
    there = {place: at for at, place in enumerate(output_pixels)}
    only = copy.copy(operator)
    only.opcodeIndex = 0
    only.inputs = np.array([there.get(int(at), -1) for at in operator.inputs], np.int32)
    only.outputs = np.array([there[int(at)] for at in operator.outputs], np.int32)
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = tensors, [only]
    channels_in = [int(at) for at in only.inputs if at >= 0 and tensors[int(at)].buffer == 0]
    subgraph.inputs = np.array(list(dict.fromkeys(channels_in)), np.int32)
    subgraph.outputs = only.outputs
    small.subgraphs = [subgraph]
    small.metadata, small.signatureDefs = [], []
    return small


def _milliseconds(tflite: bytes) -> float:
    try:
        return _timed(tflite)
    except (RuntimeError, ValueError):
        # Some operators the runtime's quick kernels take only with others around them.
        return _timed(tflite, experimental_preserve_all_tensors=True)


def _timed(tflite: bytes, **options: bool) -> float:
    _, module = runtime_module("auto")
    with silence_tensorflow():
        interpreter = module.Interpreter(model_content=tflite, num_threads=1, **options)
        interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    seconds = []
    for _ in range(WARM + TIMED):
        start = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM:]) * 1000

"""Measures each operator of a .tflite on this machine, in a model with only this operator."""

import copy
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from converter.loading import FrozenGraph, silence_tensorflow
from converter.tflite.tflite_graph import operator_name, read_model, write_model
from edge.inspection import runtime_module

WARM_UP_RUNS, TIMED_RUNS = 3, 15


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """An operator, its layer, and the median milliseconds when it runs alone on one thread.

    `output` is the name of its output tensor.
    """

    operator: str
    layer: str
    milliseconds: float
    output: str = ""


def operator_times(tflite: bytes, frozen: FrozenGraph) -> tuple[OperatorTime, ...]:
    """The operators in execution order, measured with the default runtime.

    The sum is not the time of the model: each operator pays for its call, and the runtime cannot
    fuse operators. Only the proportions are meaningful.
    """
    schema, model = read_model(tflite)
    graph = model.subgraphs[0]
    found = []
    for operator in graph.operators:
        name = bytes(graph.tensors[operator.outputs[0]].name).decode(errors="replace")
        code = model.operatorCodes[operator.opcodeIndex]
        alone = _single_operator_model(schema, model, operator)
        if not len(alone.subgraphs[0].inputs):
            continue  # it unpacks a constant once, at load time
        layer = frozen.layer_of(name)
        milliseconds = _milliseconds(write_model(alone))
        found.append(OperatorTime(operator_name(schema, code), layer, milliseconds, name))
    return tuple(found)


def _single_operator_model(schema: Any, model: Any, operator: Any) -> Any:
    """A model of one operator: its variable inputs become model inputs, constants stay."""
    graph = model.subgraphs[0]
    places = list(dict.fromkeys(int(at) for at in (*operator.inputs, *operator.outputs) if at >= 0))
    small = schema.ModelT()
    small.version, small.description = model.version, b""
    code = model.operatorCodes[operator.opcodeIndex]
    small.operatorCodes = [code]
    small.buffers = [schema.BufferT()]
    tensors = []
    for place in places:
        tensor = copy.copy(graph.tensors[place])
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data):
            small.buffers.append(schema.BufferT(data=data))
            tensor.buffer = len(small.buffers) - 1
        tensors.append(tensor)
    new_place = {place: at for at, place in enumerate(places)}
    only = copy.copy(operator)
    only.opcodeIndex = 0
    only.inputs = np.array([new_place.get(int(at), -1) for at in operator.inputs], np.int32)
    only.outputs = np.array([new_place[int(at)] for at in operator.outputs], np.int32)
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = tensors, [only]
    inputs = [int(at) for at in only.inputs if at >= 0 and tensors[int(at)].buffer == 0]
    subgraph.inputs = np.array(list(dict.fromkeys(inputs)), np.int32)
    subgraph.outputs = only.outputs
    small.subgraphs = [subgraph]
    small.metadata, small.signatureDefs = [], []
    return small


def _milliseconds(tflite: bytes) -> float:
    try:
        return _timed(tflite)
    except (RuntimeError, ValueError):
        # The fast kernels accept some operators only together with others.
        return _timed(tflite, experimental_preserve_all_tensors=True)


def _timed(tflite: bytes, **options: bool) -> float:
    _, module = runtime_module("auto")
    with silence_tensorflow():
        interpreter = module.Interpreter(model_content=tflite, num_threads=1, **options)
        interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    seconds = []
    for _ in range(WARM_UP_RUNS + TIMED_RUNS):
        start = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP_RUNS:]) * 1000

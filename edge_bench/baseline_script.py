"""The baseline: a plain script with imread, resize, interpreter, JSON and paho. It has no outbox,
no camera process and no checks. It runs as a worker process:

    python -m edge_bench.baseline_script '{"model": …, "runtime": "litert", "files": […], …}'

It works in turns; the bench sends the seconds of each turn.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import paho.mqtt.client as paho
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion

from edge.core.percentiles import spread
from edge_bench.worker_pipe import Answer, serve_turns

_MODULES = {
    "litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
_WARM_UP_FRAMES = 5
_TIMEOUT_S = 60.0


class Model:
    """The interpreter as in its examples: one thread, the model by its path."""

    def __init__(self, path: str, runtime: str) -> None:
        module: Any = importlib.import_module(_MODULES[runtime])
        self._tflite = module.Interpreter(model_path=path, num_threads=1)
        self._tflite.allocate_tensors()
        (self._in,), (self._out,) = (
            self._tflite.get_input_details(),
            self._tflite.get_output_details(),
        )
        _, self.height, self.width, self.channels = (int(n) for n in self._in["shape"])

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """The input tensor from uint8, (height, width, 3), BGR of any size."""
        small = cv2.resize(pixels, (self.width, self.height), interpolation=cv2.INTER_AREA)
        code = cv2.COLOR_BGR2RGB if self.channels == 3 else cv2.COLOR_BGR2GRAY
        picture = cv2.cvtColor(small, code).reshape(1, self.height, self.width, self.channels)
        if self._in["dtype"] == np.int8:
            return (picture.astype(np.int16) - 128).astype(np.int8)
        return np.asarray(picture, self._in["dtype"])

    def __call__(self, tensor: NDArray[Any]) -> list[float]:
        """The outputs, dequantised."""
        self._tflite.set_tensor(self._in["index"], tensor)
        self._tflite.invoke()
        row = self._tflite.get_tensor(self._out["index"])[0]
        scale, zero = self._out["quantization"]
        return [float((value - zero) * scale) if scale else float(value) for value in row]


class Script:
    """The script and its MQTT connection."""

    stages = "decode", "prepare", "invoke", "send"

    def __init__(self, model: str, runtime: str, port: int, topic: str) -> None:
        self._model, self._topic = Model(model, runtime), topic
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-baseline")
        self._client.max_queued_messages_set(0)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def warm_up(self, files: list[str]) -> None:
        """Runs the model on a few pictures and sends nothing."""
        for number in range(_WARM_UP_FRAMES):
            picture = np.asarray(cv2.imread(files[number % len(files)]), np.uint8)
            self._model(self._model.prepare(picture))

    def frame(self, file: str) -> tuple[paho.MQTTMessageInfo, list[float]]:
        """Processes one picture. Returns its message and the times between the stages, in s."""
        tick = time.perf_counter
        times = [tick()]
        pixels = np.asarray(cv2.imread(file), np.uint8)
        times.append(tick())
        tensor = self._model.prepare(pixels)
        times.append(tick())
        scores = self._model(tensor)
        times.append(tick())
        label = int(np.argmax(scores))
        body = {"file": file, "time": time.time(), "label": label, "scores": scores}
        message = self._client.publish(self._topic, json.dumps(body), qos=1)
        times.append(tick())
        return message, times


def start_work(request: dict[str, Any]) -> Callable[[float | None], Answer]:
    """For `serve_turns`: a number is the seconds to work, None asks for the summary."""
    files: list[str] = request["files"]
    script = Script(
        request["model"], request["runtime"], int(request["port"]), str(request["topic"])
    )
    script.warm_up(files)
    times: list[list[float]] = []

    def turn(seconds: float) -> Answer:
        """Acknowledged frames, seconds until the last PUBACK, CPU seconds."""
        sent: list[paho.MQTTMessageInfo] = []
        start, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() < start + seconds:
            message, stamps = script.frame(files[len(times) % len(files)])
            sent.append(message)
            times.append(stamps)
        for message in sent:
            message.wait_for_publish(_TIMEOUT_S)
        return {
            "frames": sum(message.is_published() for message in sent),
            "seconds": time.perf_counter() - start,
            "cpu_s": time.process_time() - cpu,
        }

    def summary() -> Answer:
        stages = {
            name: spread([(stamps[at + 1] - stamps[at]) * 1000 for stamps in times])
            for at, name in enumerate(Script.stages)
        }
        return {"stages_ms": stages}

    return lambda seconds: summary() if seconds is None else turn(seconds)


if __name__ == "__main__":
    sys.exit(serve_turns(start_work))

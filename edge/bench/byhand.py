"""The plain script that people write by hand: imread, resize, interpreter, JSON, paho. No outbox,
no camera of its own, no check of anything. In a process of its own:

    python -m edge.bench.byhand '{"model": …, "runtime": "litert", "files": […], "seconds": 2, …}'
"""

import importlib
import json
import sys
import time
from typing import Any

import cv2
import numpy as np
import paho.mqtt.client as paho
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion

from edge.bench.child import Answer, answer
from edge.percentiles import spread

_MODULES = {
    "litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
_WARM = 5
_PATIENCE_S = 60.0


class Model:
    """The interpreter as its own examples use it: one thread, the file by its path."""

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
        """uint8, (height, width, 3), BGR of any size → the input tensor."""
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
    """The script itself, and its connection."""

    stages = "decode", "prepare", "invoke", "send"

    def __init__(self, model: str, runtime: str, port: int, topic: str) -> None:
        self._model, self._topic = Model(model, runtime), topic
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-by-hand")
        self._client.max_queued_messages_set(0)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def warm(self, files: list[str]) -> None:
        """Judges a few, and sends nothing."""
        for number in range(_WARM):
            picture = np.asarray(cv2.imread(files[number % len(files)]), np.uint8)
            self._model(self._model.prepare(picture))

    def frame(self, file: str) -> tuple[paho.MQTTMessageInfo, list[float]]:
        """One picture: its message, and when each of the stages began and the last one ended, in
        seconds."""
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

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()


def work(request: dict[str, Any]) -> Answer:
    """Answers frames (all acknowledged), seconds until the last PUBACK, CPU seconds and stages."""
    files = request["files"]
    script = Script(
        request["model"], request["runtime"], int(request["port"]), str(request["topic"])
    )
    script.warm(files)
    stages: dict[str, list[float]] = {name: [] for name in Script.stages}
    sent: list[paho.MQTTMessageInfo] = []
    tick = time.perf_counter
    start, cpu = tick(), time.process_time()
    end = start + float(request["seconds"])
    while tick() < end:
        message, times = script.frame(files[len(sent) % len(files)])
        sent.append(message)
        for name, begun, done in zip(Script.stages, times, times[1:]):
            stages[name].append((done - begun) * 1000)
    for message in sent:
        message.wait_for_publish(_PATIENCE_S)
    wall_s, cpu_s = tick() - start, time.process_time() - cpu
    acked = sum(message.is_published() for message in sent)
    script.close()
    return {
        "frames": acked,
        "seconds": wall_s,
        "cpu_s": cpu_s,
        "stages_ms": {name: spread(times) for name, times in stages.items()},
    }


if __name__ == "__main__":
    sys.exit(answer(work))

"""Runs a model with tflite-runtime in another Python interpreter, which starts this file by path.

It may import only numpy and tflite-runtime.

- Standard input: a line of JSON (`model`: length in bytes, `shape`: of the pictures, `built_in`:
  whether to use only the built-in kernels), then the model, then the pictures (uint8).
- Standard output: a line of JSON (`milliseconds`: median of an inference), then the rows (float32).
"""

import json
import statistics
import sys
import time

import numpy as np


def main() -> int:
    """Handles one request. Returns 1, with a line on standard error, when the model fails."""
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    request = sys.stdin.buffer.read()
    line, _, rest = request.partition(b"\n")
    head = json.loads(line)
    model, pixels = rest[: head["model"]], rest[head["model"] :]
    pictures = np.frombuffer(pixels, np.uint8).reshape(head["shape"])
    try:
        kernels = OpResolverType.AUTO
        if head["built_in"]:
            kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(
            model_content=model, num_threads=1, experimental_op_resolver_type=kernels
        )
        interpreter.allocate_tensors()
        (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
        rows, seconds = [], []
        for picture in pictures:
            interpreter.set_tensor(entry["index"], picture[None])
            start = time.perf_counter()
            interpreter.invoke()
            seconds.append(time.perf_counter() - start)
            rows.append(np.asarray(interpreter.get_tensor(end["index"])[0], np.float32))
    except (ValueError, RuntimeError) as error:
        sys.stderr.write(" ".join(str(error).split())[:300] + "\n")
        return 1
    response = json.dumps({"milliseconds": statistics.median(seconds) * 1000})
    sys.stdout.buffer.write(response.encode() + b"\n" + np.stack(rows).tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())

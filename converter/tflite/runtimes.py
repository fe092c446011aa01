"""A .tflite as the boxes' runtimes run it: one in this process, the older one in its own Python.

tflite-runtime 2.14 needs an older numpy than TensorFlow does, so the two rarely live together.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from converter.loading import silence_tensorflow
from edge.core.errors import MissingPartError, ModelError
from edge.core.terms import Kernels, Runtime
from edge.inspection import TFLiteClassifier, runtime_module

VARIABLE = "EDGE_CONVERT_TFLITE_PYTHON"
_AT_A_TIME = 256 * 2**20  # bytes
PACKAGES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}

Rows = NDArray[np.float32]


class Runner(Protocol):
    """A runtime; exists so that two may be asked alike, wherever they are installed."""

    @property
    def name(self) -> str: ...

    def with_kernels(self, kernels: Kernels) -> "Runner":
        """The same runtime, with other code for the operators."""
        ...

    def rows(self, tflite: bytes, pictures: NDArray[np.uint8], model: str) -> tuple[Rows, float]:
        """Output rows, float32, (n, outputs), and the median milliseconds of an inference.

        `pictures` is uint8, (n, height, width, channels). Raises ModelError, naming `model`, when
        the runtime cannot load or run it.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalRuntime:
    """A runtime in this process, by the daemon's own interpreter code, on one thread."""

    runtime: Runtime
    version: str
    kernels: Kernels = "quickest"

    @property
    def name(self) -> str:
        """The package and its version."""
        return f"{PACKAGES[self.runtime]} {self.version}"

    def with_kernels(self, kernels: Kernels) -> "LocalRuntime":
        """As `Runner.with_kernels`."""
        return replace(self, kernels=kernels)

    def rows(self, tflite: bytes, pictures: NDArray[np.uint8], model: str) -> tuple[Rows, float]:
        """As `Runner.rows`."""
        with silence_tensorflow():  # LiteRT tells about its delegate each time
            classify = TFLiteClassifier(tflite, model, self.runtime, 1, self.kernels)
        outputs, seconds = [], []
        for picture in pictures:
            start = time.perf_counter()
            try:
                outputs.append(classify(picture))
            except RuntimeError as error:  # TFLite's own, when an operator cannot run after all
                reason = " ".join(str(error).split())[:200]
                raise ModelError(
                    f"{model}: {self.name} cannot run it ({reason}); choose another --scheme"
                ) from error
            seconds.append(time.perf_counter() - start)
        return np.stack(outputs), statistics.median(seconds) * 1000


@dataclass(frozen=True, slots=True)
class SubprocessRuntime:
    """tflite-runtime in another Python, a process for each question; a crash there is an answer."""

    python: Path
    version: str
    kernels: Kernels = "quickest"
    timeout: float = field(default=1800.0, kw_only=True)

    @property
    def name(self) -> str:
        """The package and its version."""
        return f"tflite-runtime {self.version}"

    def with_kernels(self, kernels: Kernels) -> "SubprocessRuntime":
        """As `Runner.with_kernels`."""
        return replace(self, kernels=kernels)

    def rows(self, tflite: bytes, pictures: NDArray[np.uint8], model: str) -> tuple[Rows, float]:
        """As `Runner.rows`. Some hundred megabytes of pictures go there at a time."""
        step = max(1, _AT_A_TIME // pictures[0].nbytes)
        outputs = [
            self._asked(tflite, pictures[at : at + step], model)
            for at in range(0, len(pictures), step)
        ]
        rows, milliseconds = zip(*outputs)
        return np.concatenate(rows), statistics.median(milliseconds)

    def _asked(self, tflite: bytes, pictures: NDArray[np.uint8], model: str) -> tuple[Rows, float]:
        head = {
            "model": len(tflite),
            "shape": list(pictures.shape),
            "built_in": self.kernels == "built-in",
        }
        question = json.dumps(head).encode() + b"\n" + tflite + pictures.tobytes()
        try:
            done = subprocess.run(
                [self.python, "-I", _SCRIPT],
                input=question,
                capture_output=True,
                timeout=self.timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ModelError(
                f"{model}: {self.name} in {self.python} cannot be asked ({error}); "
                "check --tflite-python"
            ) from error
        if done.returncode != 0:
            named = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise ModelError(
                f"{model}: {self.name} cannot run it (exit {done.returncode}: {named[-1][:200]}); "
                "choose another --scheme, or say --without-tflite-runtime if no box has it"
            )
        line, _, raw = done.stdout.partition(b"\n")
        answer = json.loads(line)
        rows = np.frombuffer(raw, np.float32).reshape(len(pictures), -1)
        return rows, float(answer["milliseconds"])


_SCRIPT = Path(__file__).with_name("runtime_subprocess.py")


def find_runners(python: Path | None = None, *, older: bool = True) -> tuple[Runner, ...]:
    """The runtimes that can be asked here, the default one first.

    The older one is looked for in this process, in `python`, in the Python that the environment
    variable names, and beside this virtual environment, where `make test` puts it; not at all
    when `older` is False. Raises MissingPartError when there is none, or not where it was said.
    """
    outputs: list[Runner] = [runner for runner in (_local_runtime("litert"),) if runner is not None]
    if older:
        other = _local_runtime("tflite-runtime") if python is None else None
        other = other or _subprocess_runtime(python)
        if other is not None:
            outputs.append(other)
    if not outputs:
        runtime_module("auto")  # raises, with the command that installs one
    return tuple(outputs)


def _local_runtime(runtime: Runtime) -> Runner | None:
    from importlib.metadata import version

    try:
        runtime_module(runtime)
    except MissingPartError:
        return None
    return LocalRuntime(runtime, version(PACKAGES[runtime]))


def _subprocess_runtime(python: Path | None) -> Runner | None:
    named = python or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    beside = Path(sys.prefix).with_name(f"{Path(sys.prefix).name}-tflite-runtime") / "bin/python"
    place = named or beside
    code = "from importlib.metadata import version as v; print(v('tflite-runtime'))"
    try:
        done = subprocess.run(
            [place, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        if done.returncode == 0:
            return SubprocessRuntime(place, done.stdout.strip())
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    if named is None:
        return None
    raise MissingPartError(
        f"{named}: has no tflite-runtime ({reason[:200]}); make one with `make "
        "test-tflite-runtime`, or give another --tflite-python"
    )

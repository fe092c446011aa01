"""Runs a .tflite in the runtimes of the boxes: in this process or in another Python.

tflite-runtime 2.14 needs an older numpy than TensorFlow, so one environment rarely has both.
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

PYTHON_VARIABLE = "EDGE_CONVERT_TFLITE_PYTHON"
_MAX_REQUEST_BYTES = 256 * 2**20  # of pictures
PACKAGES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}

Rows = NDArray[np.float32]


class Runner(Protocol):
    """A TFLite runtime, in this process or in another."""

    @property
    def name(self) -> str: ...

    def with_kernels(self, kernels: Kernels) -> "Runner":
        """The same runtime with other kernels."""
        ...

    def rows(self, tflite: bytes, pictures: NDArray[np.uint8], model: str) -> tuple[Rows, float]:
        """Output rows, float32, (n, outputs), and the median milliseconds of an inference.

        `pictures` is uint8, (n, height, width, channels). Raises ModelError, with the name
        `model`, when the runtime cannot load or run it.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalRuntime:
    """A runtime in this process, through the daemon's interpreter code, on one thread."""

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
        with silence_tensorflow():  # LiteRT logs its delegate each time
            classify = TFLiteClassifier(tflite, model, self.runtime, 1, self.kernels)
        outputs, seconds = [], []
        for picture in pictures:
            start = time.perf_counter()
            try:
                outputs.append(classify(picture))
            except RuntimeError as error:  # TFLite raises it when an operator cannot run
                reason = " ".join(str(error).split())[:200]
                raise ModelError(
                    f"{model}: {self.name} cannot run it ({reason}); choose another --scheme"
                ) from error
            seconds.append(time.perf_counter() - start)
        return np.stack(outputs), statistics.median(seconds) * 1000


@dataclass(frozen=True, slots=True)
class SubprocessRuntime:
    """tflite-runtime in another Python: one process per request. A crash there is an error here."""

    python: Path
    version: str
    kernels: Kernels = "quickest"
    timeout_s: float = field(default=1800.0, kw_only=True)

    @property
    def name(self) -> str:
        """The package and its version."""
        return f"tflite-runtime {self.version}"

    def with_kernels(self, kernels: Kernels) -> "SubprocessRuntime":
        """As `Runner.with_kernels`."""
        return replace(self, kernels=kernels)

    def rows(self, tflite: bytes, pictures: NDArray[np.uint8], model: str) -> tuple[Rows, float]:
        """As `Runner.rows`, in requests of at most _MAX_REQUEST_BYTES of pictures."""
        step = max(1, _MAX_REQUEST_BYTES // pictures[0].nbytes)
        outputs = [
            self._run_chunk(tflite, pictures[at : at + step], model)
            for at in range(0, len(pictures), step)
        ]
        rows, milliseconds = zip(*outputs)
        return np.concatenate(rows), statistics.median(milliseconds)

    def _run_chunk(
        self, tflite: bytes, pictures: NDArray[np.uint8], model: str
    ) -> tuple[Rows, float]:
        head = {
            "model": len(tflite),
            "shape": list(pictures.shape),
            "built_in": self.kernels == "built-in",
        }
        request = json.dumps(head).encode() + b"\n" + tflite + pictures.tobytes()
        try:
            done = subprocess.run(
                [self.python, "-I", _SCRIPT],
                input=request,
                capture_output=True,
                timeout=self.timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ModelError(
                f"{model}: {self.name} in {self.python} cannot be started ({error}); "
                "check --tflite-python"
            ) from error
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise ModelError(
                f"{model}: {self.name} cannot run it (exit {done.returncode}: {lines[-1][:200]}); "
                "choose another --scheme, or give --without-tflite-runtime if no box has it"
            )
        line, _, raw = done.stdout.partition(b"\n")
        response = json.loads(line)
        rows = np.frombuffer(raw, np.float32).reshape(len(pictures), -1)
        return rows, float(response["milliseconds"])


_SCRIPT = Path(__file__).with_name("runtime_subprocess.py")


def find_runners(python: Path | None = None, *, older: bool = True) -> tuple[Runner, ...]:
    """The installed runtimes, the default one first.

    The older runtime is searched in this process, in `python`, in the Python of PYTHON_VARIABLE,
    and beside this virtual environment, where `make test` installs it. `older=False` skips it.
    Raises MissingPartError when there is no runtime, or when the named Python has none.
    """
    local = find_local_runtime("litert")
    runners: list[Runner] = [] if local is None else [local]
    if older:
        other = find_local_runtime("tflite-runtime") if python is None else None
        other = other or find_other_python(python)
        if other is not None:
            runners.append(other)
    if not runners:
        runtime_module("auto")  # raises, with the command that installs one
    return tuple(runners)


def find_local_runtime(runtime: Runtime) -> Runner | None:
    from importlib.metadata import version

    try:
        runtime_module(runtime)
    except MissingPartError:
        return None
    return LocalRuntime(runtime, version(PACKAGES[runtime]))


def find_other_python(python: Path | None) -> Runner | None:
    named = python or (
        Path(os.environ[PYTHON_VARIABLE]) if os.environ.get(PYTHON_VARIABLE) else None
    )
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

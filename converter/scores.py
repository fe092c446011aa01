"""Scores as the box will give them: by the daemon's own interpreter and decision code."""

import statistics
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converter.quiet import quiet
from edge.errors import MissingPartError
from edge.inspection.decision import to_probabilities
from edge.inspection.interpreter import TFLiteClassifier, runtime_module
from edge.inspection.modelfile import OutputSpec
from edge.terms import Runtime

RUNTIMES: tuple[Runtime, ...] = ("litert", "tflite-runtime")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What turns a model's output row into a score."""

    labels: tuple[str, ...]
    ok_label: str
    output: OutputSpec

    def scores(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(defective) = 1 − P(ok): float64, (n,), from (n, labels)."""
        return np.clip(1.0 - probabilities[:, self.labels.index(self.ok_label)], 0.0, 1.0)


def installed_runtimes() -> tuple[Runtime, ...]:
    """The TFLite runtimes that can be imported here. Raises MissingPartError when none can."""
    found: list[Runtime] = []
    for runtime in RUNTIMES:
        try:
            runtime_module(runtime)
        except MissingPartError:
            continue
        found.append(runtime)
    if not found:
        runtime_module("auto")  # raises, with the command that installs one
    return tuple(found)


class BoxModel:
    """A .tflite as one runtime runs it, on one thread. Raises ModelError when it cannot load it."""

    def __init__(self, tflite: bytes, name: str, runtime: Runtime, recipe: Recipe) -> None:
        with quiet():  # LiteRT tells about its delegate each time
            self._classify = TFLiteClassifier(tflite, name, runtime, threads=1)
        self._recipe = recipe
        self._seconds: list[float] = []

    @property
    def milliseconds(self) -> float:
        """The median time of an inference so far."""
        return statistics.median(self._seconds) * 1000

    def scores(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """P(defective), float64, (n,). `pictures` is uint8, (n, height, width, channels)."""
        rows = []
        for picture in pictures:
            start = time.perf_counter()
            rows.append(self._classify(picture))
            self._seconds.append(time.perf_counter() - start)
        output = self._recipe.output
        return self._recipe.scores(
            to_probabilities(np.stack(rows), output.kind, output.temperature)
        )

"""A real model that claims to take a megabyte, so that few of them fill a budget."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.config import Config
from edge.inspection import Inspector
from edge.inspection.interpreter import Classifier
from edge.pipeline.build import build_inspector


class Heavy:
    """A classifier that takes a megabyte."""

    def __init__(self, classify: Classifier) -> None:
        self._classify = classify
        self.memory_bytes = 1_000_000

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As the other one."""
        return self._classify(picture)

    def clone(self) -> "Heavy":
        """As the other one."""
        return Heavy(self._classify.clone())


def build_heavy_inspector(config: Config, file: Path | None) -> Inspector:
    """As `build_inspector`."""
    inspector = build_inspector(config, file)
    return replace(inspector, classify=Heavy(inspector.classify))

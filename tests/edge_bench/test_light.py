"""The measuring process and other commands import no heavy library."""

import subprocess
import sys

import pytest


def imported_by(module: str) -> set[str]:
    """The top-level packages in a new interpreter after the import of a module."""
    program = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.slow
def test_the_measuring_process_imports_neither_opencv_nor_a_runtime() -> None:
    """Only worker processes decode and run the model."""
    heavy = {"cv2", "ai_edge_litert", "tflite_runtime", "tensorflow", "amqtt"}
    assert not imported_by("edge_bench.__main__") & heavy


def test_other_commands_do_not_import_the_bench() -> None:
    """The command line imports neither YAML, NumPy, paho nor edge_bench."""
    assert not imported_by("edge.__main__") & {"yaml", "paho", "numpy", "edge_bench"}

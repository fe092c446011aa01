"""What measures must not share memory with what is measured, nor slow down other commands."""

import subprocess
import sys


def imported_by(module: str) -> set[str]:
    """The top-level packages that a fresh interpreter has after importing a module."""
    program = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return set(done.stdout.split())


def test_what_measures_holds_neither_opencv_nor_a_runtime() -> None:
    """Decoding and judging stand in processes of their own."""
    heavy = {"cv2", "ai_edge_litert", "tflite_runtime", "tensorflow", "amqtt"}
    assert not imported_by("edge_bench.__main__") & heavy


def test_the_command_line_costs_other_commands_nothing() -> None:
    """It imports neither YAML, NumPy nor paho, and nothing of the bench."""
    assert not imported_by("edge.__main__") & {"yaml", "paho", "numpy", "edge_bench"}

"""Runtimes: one in this process, the older one in another Python, and errors without it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from converter.tflite import runtime_subprocess
from converter.tflite.runtimes import PYTHON_VARIABLE, SubprocessRuntime, find_runners
from edge.core.errors import MissingPartError, ModelError

# A fake tflite-runtime for the other Python: the output is the picture's mean times ten, or times
# twenty with the built-in kernels.
FAKE = """
import enum
import numpy as np
OpResolverType = enum.Enum("OpResolverType", "AUTO BUILTIN_WITHOUT_DEFAULT_DELEGATES")
class Interpreter:
    def __init__(self, model_content, num_threads, experimental_op_resolver_type):
        self.factor = 10 if experimental_op_resolver_type is OpResolverType.AUTO else 20
        if model_content != b"model":
            raise ValueError("not\\na model")
    def allocate_tensors(self): pass
    def get_input_details(self): return [{"index": 0}]
    def get_output_details(self): return [{"index": 1}]
    def set_tensor(self, index, value): self.value = value
    def invoke(self): self.row = [[self.factor * self.value.mean(), 1.0]]
    def get_tensor(self, index): return self.row
"""


@pytest.fixture
def other_python(tmp_path: Path) -> Path:
    """A Python program with the fake tflite-runtime."""
    package = tmp_path / "there" / "tflite_runtime"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(FAKE)
    info = tmp_path / "there" / "tflite_runtime-2.14.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: tflite-runtime\nVersion: 2.14.0\n")
    start = tmp_path / "start.py"
    start.write_text(
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(tmp_path / 'there')!r})\n"
        "sys.argv = [a for a in sys.argv[1:] if a != '-I']\n"
        "if sys.argv[0] == '-c':\n    exec(sys.argv[1])\n"
        "else:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {start} "$@"\n')
    python.chmod(0o755)
    return python


def test_the_older_runtime_answers_from_its_own_python(other_python: Path) -> None:
    """The rows come back in the order of the pictures, with the package version."""
    (*_, runner) = find_runners(other_python)
    assert runner.name == "tflite-runtime 2.14.0"
    pictures = np.stack([np.full((4, 5, 3), value, np.uint8) for value in (0, 7, 200)])
    rows, milliseconds = runner.rows(b"model", pictures, "m.tflite")
    assert rows.tolist() == [[0, 1], [70, 1], [2000, 1]]
    assert milliseconds >= 0
    rows, _ = runner.with_kernels("built-in").rows(b"model", pictures, "m.tflite")
    assert rows.tolist() == [[0, 1], [140, 1], [4000, 1]]


def test_a_model_that_it_cannot_load_is_an_error(other_python: Path) -> None:
    """The error names the model, the runtime, the reason and the fix."""
    runner = find_runners(other_python)[-1]
    with pytest.raises(
        ModelError, match=r"m\.tflite: tflite-runtime 2\.14\.0 .*not a model.*--scheme"
    ):
        runner.rows(b"other", np.zeros((1, 4, 4, 3), np.uint8), "m.tflite")


def test_a_crash_there_is_no_crash_here(tmp_path: Path) -> None:
    """A signal in the other process is an error with the number of the signal."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    runner = SubprocessRuntime(python, "2.14.0")
    with pytest.raises(ModelError, match="exit -11: no reason given"):
        runner.rows(b"model", np.zeros((1, 4, 4, 3), np.uint8), "m.tflite")


def test_a_python_without_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A named Python without tflite-runtime is an error, by option or by variable."""
    with pytest.raises(MissingPartError, match="nowhere: has no tflite-runtime"):
        find_runners(tmp_path / "nowhere")
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    monkeypatch.setattr("converter.tflite.runtimes.find_local_runtime", lambda _runtime: None)
    with pytest.raises(MissingPartError, match="nowhere: has no tflite-runtime"):
        find_runners()


def test_the_older_runtime_can_be_skipped(other_python: Path) -> None:
    """With `older=False` only one runtime is left."""
    assert len(find_runners(other_python, older=False)) == 1


def test_the_script_stands_alone() -> None:
    """The script imports nothing of this project, which the other Python lacks."""
    text = Path(runtime_subprocess.__file__).read_text(encoding="utf-8")
    assert "import edge" not in text
    assert "from edge" not in text
    assert "from converter" not in text

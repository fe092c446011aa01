"""Runtimes: one here, the older one in a Python of its own, and what is said without it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from converter.tflite import runtime_subprocess
from converter.tflite.runtimes import PYTHON_VARIABLE, SubprocessRuntime, find_runners
from edge.core.errors import MissingPartError, ModelError

# Stands in for the other Python's tflite-runtime: the output is the picture's mean times ten,
# or times twenty with TFLite's built-in kernels.
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
    """A Python that has the stand-in, as a program."""
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
    """Pictures go there and rows come back, in their order, with the package's version."""
    (*_, runner) = find_runners(other_python)
    assert runner.name == "tflite-runtime 2.14.0"
    pictures = np.stack([np.full((4, 5, 3), value, np.uint8) for value in (0, 7, 200)])
    rows, milliseconds = runner.rows(b"model", pictures, "m.tflite")
    assert rows.tolist() == [[0, 1], [70, 1], [2000, 1]]
    assert milliseconds >= 0
    rows, _ = runner.with_kernels("built-in").rows(b"model", pictures, "m.tflite")
    assert rows.tolist() == [[0, 1], [140, 1], [4000, 1]]


def test_what_it_cannot_load_is_an_error_that_names_both(other_python: Path) -> None:
    """A model that the other runtime refuses is told with its reason, and a way out."""
    runner = find_runners(other_python)[-1]
    with pytest.raises(
        ModelError, match=r"m\.tflite: tflite-runtime 2\.14\.0 .*not a model.*--scheme"
    ):
        runner.rows(b"other", np.zeros((1, 4, 4, 3), np.uint8), "m.tflite")


def test_a_crash_there_is_no_crash_here(tmp_path: Path) -> None:
    """When the other process dies of a signal, it is an error with the signal's number."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    runner = SubprocessRuntime(python, "2.14.0")
    with pytest.raises(ModelError, match="exit -11: no reason given"):
        runner.rows(b"model", np.zeros((1, 4, 4, 3), np.uint8), "m.tflite")


def test_a_python_without_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it was said and is not, that is an error; where nobody said, it is not asked."""
    with pytest.raises(MissingPartError, match="nowhere: has no tflite-runtime"):
        find_runners(tmp_path / "nowhere")
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    monkeypatch.setattr("converter.tflite.runtimes._local_runtime", lambda _runtime: None)
    with pytest.raises(MissingPartError, match="nowhere: has no tflite-runtime"):
        find_runners()


def test_it_is_not_asked_when_no_box_has_it(other_python: Path) -> None:
    """One runtime is left when the older one is not wanted."""
    assert len(find_runners(other_python, older=False)) == 1


def test_the_script_stands_alone() -> None:
    """The other Python has nothing of ours: the script imports none of it."""
    text = Path(runtime_subprocess.__file__).read_text(encoding="utf-8")
    assert "import edge" not in text
    assert "from edge" not in text
    assert "from converter" not in text

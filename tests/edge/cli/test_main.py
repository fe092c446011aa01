"""argv → command → exit code."""

import pytest

import edge
from edge import __main__ as command_line
from edge.cli import config
from edge.core.errors import (
    EXIT_INTERNAL,
    EXIT_NO,
    EXIT_USAGE,
    ConfigError,
    ModelError,
    RefusedError,
)
from tests.conftest import WriteConfig


@pytest.mark.parametrize("argv", [[], ["fly"], ["run", "--fast"], ["predict"], ["config", "eat"]])
def test_wrong_usage_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command or option is usage on stderr and exit code 2."""
    with pytest.raises(SystemExit) as caught:
        command_line.main(argv)
    assert caught.value.code == 2
    assert "usage: edge-inspect" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version alone."""
    with pytest.raises(SystemExit) as caught:
        command_line.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == edge.__version__


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError(["a: b", "c: d"]), EXIT_USAGE),
        (ModelError("m.tflite: damaged"), EXIT_USAGE),
        (RefusedError("no"), EXIT_NO),
        (KeyboardInterrupt(), 130),
    ],
)
def test_named_errors_have_their_exit_code_and_no_traceback(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every error of the family ends as its sentence and its exit code."""

    def fail() -> int:
        raise error

    monkeypatch.setattr(config, "schema", fail)
    assert command_line.main(["config", "schema"]) == code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.strip() == str(error).strip()


def test_fault_of_ours_is_exit_code_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unexpected exception is reported as an internal fault, with its traceback."""

    def fail() -> int:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(config, "schema", fail)
    assert command_line.main(["config", "schema"]) == EXIT_INTERNAL
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "internal fault (ZeroDivisionError('x')); please report it" in err


def test_run_with_a_wrong_config(
    write_config: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` refuses a wrong configuration before it starts anything."""
    assert command_line.main(["run", "-c", str(write_config(cameras=[]))]) == EXIT_USAGE
    assert "cameras" in capsys.readouterr().err

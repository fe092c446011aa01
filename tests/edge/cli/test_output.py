"""Standard output and error of the commands, in every environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import WriteConfig
from tests.support.models import MODELS

COMMAND = [sys.executable, "-m", "edge"]


def run(
    *arguments: str | bytes, shell: str = "", locale: str = "C.UTF-8", **environ: str
) -> subprocess.CompletedProcess[bytes]:
    """The command as a process. `shell`: redirections behind it."""
    env = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **environ}
    command = ["sh", "-c", f'"$@" {shell}', "sh", *COMMAND, *arguments]
    return subprocess.run(command, check=False, capture_output=True, env=env, timeout=120)


@pytest.fixture
def config(write_config: WriteConfig) -> str:
    """A config.yaml with letters that ASCII lacks."""
    return str(write_config(station="라인", model={"path": str(MODELS / "redness.tflite")}))


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_every_locale_prints_utf_8(config: str, locale: str) -> None:
    """YAML and JSON are UTF-8 for the program that reads them."""
    done = run("config", "show", "-c", config, locale=locale, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "station: 라인" in done.stdout.decode()


@pytest.mark.slow
def test_a_full_disk_is_one_sentence(config: str) -> None:
    """Exit code 1: the answer did not arrive."""
    done = run("config", "show", "-c", config, shell=">/dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        b"the output cannot be written (No space left on device); write it to another place\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["2>/dev/full", "2>&-", ">/dev/full 2>/dev/full", ">&- 2>&- <&-"])
def test_a_broken_stderr_keeps_the_exit_code(shell: str) -> None:
    """Nothing can be said, but the exit code still says it."""
    assert run("config", "show", "-c", "/none", shell=shell).returncode == 2


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_mistake(config: str) -> None:
    """`| true`: no traceback."""
    done = run("config", "schema", shell="| true")
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


@pytest.mark.slow
def test_closed_descriptors_are_not_reused(config: str) -> None:
    """A file that the program opens must not get number 1 or 2."""
    assert run("config", "show", "-c", config, shell=">&- 2>&-").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"a\xff.png", b"a\n<0>b.png", b"a\x1b[31m.png"])
def test_hostile_file_names_are_shown_with_escapes(
    name: bytes, config: str, tmp_path: Path
) -> None:
    """JSON on stdout and sentences on stderr stay one line of UTF-8 each."""
    path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118  bytes
    Path(os.fsdecode(path)).write_bytes(b"no picture")
    done = run("predict", path, "-c", config, locale="C")
    assert done.returncode == 1
    sentences = [one for one in done.stderr.decode().splitlines() if not one.startswith("INFO:")]
    assert len(sentences) == len(done.stdout.decode().splitlines()) == 1
    assert b"\\\\x" in done.stdout or b"\\\\n" in done.stdout
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\\ud" not in done.stdout.lower()

"""The edits that tests.box makes to a copy of this repository still fit it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.box import plant, versions

EDITED = ("edge/__init__.py", "edge/__main__.py", "config.yaml", "scripts/install.sh")


def test_the_second_version_can_be_made(tmp_path: Path) -> None:
    """Each text that an edit replaces is there."""
    plant.source_tree(tmp_path, "second", *versions.SECOND)
    for file in EDITED:
        assert (tmp_path / "root/second" / file).is_file()


@pytest.mark.parametrize(
    ("appended", "command", "code", "said"),
    [
        (versions.FAILS_AT_START, "run", 1, "RuntimeError: broken on purpose"),
        (versions.FAILS_AT_START, "--version", 0, ""),
    ],
)
def test_an_appended_change_acts(
    tmp_path: Path, appended: str, command: str, code: int, said: str
) -> None:
    """The broken version fails at `run`, and only there."""
    plant.source_tree(tmp_path, "broken", appended=(("edge/__main__.py", appended),))
    program = f"import sys; from edge.__main__ import main; sys.exit(main([{command!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "root/broken",
        env={"PYTHONPATH": str(tmp_path / "root/broken")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_the_key_that_a_version_refuses_is_in_the_example_configuration() -> None:
    """`make install` writes it, so that the box can edit it."""
    example = subprocess.run(
        ["sh", "scripts/install.sh", "example"],
        cwd=plant.REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "  keepalive_s: 30 " in example

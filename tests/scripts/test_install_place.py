"""What install.sh puts into place survives a power cut: it is flushed before it is called whole."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = (Path(__file__).parents[2] / "scripts/install.sh").read_text(encoding="utf-8")
# The real sync, that first notes what stood where when it was asked for.
_SYNC = '#!/bin/sh\necho "$*: $(cat "$WATCHED" 2>/dev/null)" >>"$NOTES"\nexec {sync} "$@"\n'


def function(name: str) -> str:
    """A function of the script."""
    found = re.search(rf"^{name}\(\) \{{.*?^\}}", SCRIPT, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[0]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was asked of sync(1), line by line."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sync").write_text(_SYNC.format(sync=shutil.which("sync")))
    (tools / "sync").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("WATCHED", str(tmp_path / "there"))
    return tmp_path / "notes"


def test_a_file_is_replaced_whole(tmp_path: Path, notes: Path) -> None:
    """The new one is on the disk before the old one goes; mode as asked, nothing left beside."""
    new, there = tmp_path / "new", tmp_path / "there"
    new.write_text("new")
    there.write_text("old")
    subprocess.run(
        ["sh", "-euc", f'{function("place")}\nplace "-m 640" "{new}" "{there}"'], check=True
    )
    assert there.read_text() == "new"
    assert there.stat().st_mode & 0o777 == 0o640
    assert notes.read_text() == f"{there}.part: old\n"
    assert not Path(f"{there}.part").exists()


def test_nothing_that_a_boot_needs_is_written_in_place() -> None:
    """The unit and config.yaml come by `place`; install(1) alone makes folders only."""
    assert len(re.findall(r"^ +place .*(?:\$UNITS/|\$CONFIG)", SCRIPT, re.MULTILINE)) == 3
    alone = [line for line in SCRIPT.splitlines() if re.match(r" *install -", line)]
    assert all(line.lstrip().startswith("install -d ") for line in alone), alone


def test_a_version_is_called_complete_when_it_is_on_the_disk() -> None:
    """`complete` says that it may be started: everything before it has been flushed."""
    lines = [line.strip() for line in function("build").splitlines()]
    done = lines.index('touch "$1/complete"')
    assert lines[done - 1] == 'sync -f "$1"'
    assert not any(line.startswith(("cp ", "example ", "$pip ")) for line in lines[done:])


def test_what_is_said_to_be_installed_is_on_the_disk() -> None:
    """Whoever reads "Installed" may pull the plug."""
    said = function("install_version")
    assert re.search(r"^ +sync\b.*\n +say \"Installed", said, re.MULTILINE)

"""scripts/install.sh, as far as it can be tried without touching this machine; `make test-box` runs
the rest in a Debian of its own."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.config.loader import parse_config
from edge.config.schema import STATE

REPOSITORY = Path(__file__).parents[2]


def run(*arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """The script's answer."""
    return subprocess.run(
        ["sh", str(folder / "scripts/install.sh"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_box_gets_a_configuration_of_its_own() -> None:
    """The example names a camera, a broker and the service's folders, and nothing of the demo."""
    text = run("example").stdout
    config = parse_config(text, "config.yaml", Path("/etc/edge-inspect"))
    assert "demo" not in re.sub(r"#.*", "", text)
    assert config.cameras[0].source == "v4l2:/dev/video0"
    assert config.model.path == STATE / "models/model.tflite"
    assert config.outbox.path == STATE / "outbox.db"
    assert config.archive.path == STATE / "archive"
    assert (config.mqtt.embedded, config.mqtt.effective_port) == (False, 1883)


def test_the_example_keeps_every_comment() -> None:
    """Each key that config.yaml tells of stands in a box's example too."""
    keys = re.compile(r"^[ #-]*(\w+): ", re.MULTILINE)
    ours = (REPOSITORY / "config.yaml").read_text(encoding="utf-8")
    assert set(keys.findall(ours)) == set(keys.findall(run("example").stdout))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what is installed."""
    for name in ("edge", "edge_bench", "converter", "trainer", "scripts", "systemd"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    for name in ("setup.cfg", "pyproject.toml", "constraints.txt", "config.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    return tmp_path


def test_a_version_is_named_by_its_content(source: Path) -> None:
    """The same files have the same name; a changed one, of any kind, another."""
    first = run("id", folder=source).stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+-[0-9a-f]{8}\n", first)
    assert run("id", folder=source).stdout == first
    seen = {first}
    for name in ("edge/daemon/composition.py", "constraints.txt", "systemd/edge-inspect.service"):
        with (source / name).open("a") as file:
            file.write("\n# changed\n")
        seen.add(run("id", folder=source).stdout)
    assert len(seen) == 4


@pytest.mark.parametrize("arguments", [(), ("instal",), ("--help",)])
def test_a_mistyped_word_does_nothing(arguments: tuple[str, ...]) -> None:
    """The words it knows are told; exit code 1."""
    answer = run(*arguments)
    assert answer.returncode == 1
    assert "install|upgrade|rollback|uninstall" in answer.stderr

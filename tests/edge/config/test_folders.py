"""Folders whose judged files come back are a mistake of the configuration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import CameraConfig, load_config
from edge.config.folders import circles
from edge.core.errors import ConfigError

_PROBE = "mount -t tmpfs none /mnt"


def cameras(*moves: tuple[str | Path, str | Path | None]) -> list[CameraConfig]:
    """Folder cameras from pairs of source and move_to."""
    return [
        CameraConfig.read(
            {"id": f"c{number}", "source": f"folder:{source}"}
            | ({} if target is None else {"move_to": str(target)})
        )
        for number, (source, target) in enumerate(moves)
    ]


def found(*moves: tuple[str | Path, str | Path | None]) -> list[int]:
    """The cameras with a mistake."""
    return [index for index, _ in circles(cameras(*moves))]


def test_other_names_of_one_folder(tmp_path: Path) -> None:
    """A link, a link on the way, a way round: whether or not the folder is there yet."""
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "here").symlink_to(".")
    for name in ("link", "here/in", "in/../in"):
        assert found((tmp_path / "in", tmp_path / name)) == [0]
    assert found((tmp_path / "later", tmp_path / "here" / "later")) == [0]
    assert found((tmp_path / "in", tmp_path / "in" / "done")) == []


def test_circles_of_any_length(tmp_path: Path) -> None:
    """Each camera of the circle is named; those that only lead into it too; a chain is none."""
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a").mkdir()
    assert found((tmp_path / "a", tmp_path / "b"), (tmp_path / "b", tmp_path / "link")) == [0, 1]
    assert found(("/a", "/b"), ("/b", "/c"), ("/c", "/a")) == [0, 1, 2]
    assert found(("/a", "/b"), ("/b", "/c"), ("/c", None)) == []
    assert found(("/a", "/b"), ("/a", "/c"), ("/b", "/c")) == []


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=8))
def test_a_camera_is_named_when_its_files_can_come_back(moves: list[tuple[int, int]]) -> None:
    """Against the definition: the source is reached from the target."""
    reached = set(moves)
    for middle in range(7):
        for one in range(7):
            for other in range(7):
                if (one, middle) in reached and (middle, other) in reached:
                    reached.add((one, other))
    named = found(*((f"/none/f{a}", f"/none/../none/f{b}") for a, b in moves))
    assert named == [i for i, (a, b) in enumerate(moves) if a == b or (b, a) in reached]


def test_the_file_is_refused_with_the_line(tmp_path: Path) -> None:
    """With the cameras in their order."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "station: s\nmodel: {path: m.tflite}\ncameras:\n"
        "  - {id: top, source: 'folder:a',\n     move_to: b}\n"
        "  - {id: side, source: 'folder:b',\n     move_to: ../"
        f"{tmp_path.name}/a" + "}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    text = str(caught.value)
    assert "config.yaml:5:6: cameras[0].move_to: files would be judged without end" in text
    assert "(top → side → top)" in text
    assert "config.yaml:7:6: cameras[1].move_to" in text


def _may_mount() -> bool:
    if os.geteuid() != 0:
        return False
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _PROBE]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not _may_mount(), reason="needs root, to mount")
def test_a_bind_mount_is_the_folder_itself(tmp_path: Path) -> None:
    """In a name space of its own, which ends with the process."""
    for name in ("in", "bound"):
        (tmp_path / name).mkdir()
    code = (
        "from tests.edge.config.test_folders import found\n"
        f"assert found(({str(tmp_path / 'in')!r}, {str(tmp_path / 'bound')!r})) == [0]"
    )
    script = (
        f'mount --bind "{tmp_path}/in" "{tmp_path}/bound" && exec "{sys.executable}" -c "$CODE"'
    )
    subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        env={**os.environ, "CODE": code},
        check=True,
    )

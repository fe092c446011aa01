"""`edge-inspect check`: a line each, exit code 0 only if all hold."""

import socket
from pathlib import Path

import pytest

from edge.__main__ import main
from edge.core.view import ViewConfig
from edge.inspection.model_file import load_model_file, pack_model_file
from tests.conftest import Require, WriteConfig, WritePicture
from tests.support.mosquitto import free_port
from tests.support.runtimes import installed_runtimes


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], require: Require) -> "CheckRun":
    """`check(config)`: the exit code, and the line of each test."""
    if not installed_runtimes():
        pytest.skip("no TFLite runtime is installed; run: pip install ai-edge-litert")
    return CheckRun(capsys)


class CheckRun:
    """Runs the command and reads its lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def __call__(self, config: Path) -> tuple[int, dict[str, str]]:
        """Exit code, and the line of each part."""
        code = main(["check", "-c", str(config)])
        captured = self._capsys.readouterr()
        self.err = captured.err
        assert "Traceback" not in captured.err
        pairs = (line.partition(": ") for line in captured.out.splitlines())
        return code, {name: text for name, _, text in pairs}


def embedded() -> dict[str, object]:
    """A broker inside, on a free port."""
    return {"embedded": True, "port": free_port()}


def test_all_holds(check: CheckRun, write_config: WriteConfig, require: Require) -> None:
    """When all holds, every part is OK with what was found, and the exit code is 0."""
    require("amqtt", "pip install '.[broker]'")
    code, found = check(write_config(mqtt=embedded()))
    assert code == 0
    assert list(found) == ["config", "camera top", "model", "broker", "disk", "history"]
    assert all(text.startswith("OK (") for text in found.values())
    assert "640×480" in found["camera top"]
    assert "3 golden pictures score as tested" in found["model"]
    assert check.err == ""


def test_each_recipe_s_model_is_tested(
    write_config: WriteConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each recipe; one that cannot be used is the answer no."""
    recipes = [
        {"number": 7, "name": "cap", "decision": {"reject_at": 0.9}},
        {"number": 8, "name": "lid", "model": str(tmp_path / "none.tflite")},
    ]
    config = write_config(recipes=recipes)
    assert main(["check", "--offline", "-c", str(config)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "config",
        "model",
        "recipe 7 (cap)",
        "recipe 8 (lid)",
        "disk",
        "history",
    ]
    assert "reject_at 0.9000" in lines[2]
    assert "the model file cannot be read" in lines[3]


def test_a_view_that_does_not_fit_is_reported(check: CheckRun, write_config: WriteConfig) -> None:
    """A region outside the camera's picture is found before the daemon runs."""
    camera = {"id": "top", "source": "test:", "view": {"region": [0, 0, 641, 480]}}
    code, found = check(write_config(cameras=[camera], mqtt={"port": free_port()}))
    assert code == 1
    assert "outside the picture of 640×480" in found["camera top"]


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ({}, "the model's view"),
        ({"view": {"region": [0, 0, 0.5, 0.5]}}, "the model's view"),
        ({"view": {"rotate": 90}}, "its own view, other than the model's"),
        ({"view": {}}, "its own view, other than the model's"),
    ],
)
def test_whose_view_counts_is_said(
    camera: dict[str, object],
    words: str,
    *,
    check: CheckRun,
    write_config: WriteConfig,
    redness_model: Path,
    tmp_path: Path,
) -> None:
    """With a model that brings a view, the camera's line says which of the two is applied."""
    made = load_model_file(redness_model)
    assert made.spec is not None
    view = ViewConfig(region=(0, 0, 0.5, 0.5))
    spec = made.spec.replace(input=made.spec.input.replace(view=view), golden=())
    path = tmp_path / "viewed.tflite"
    tflite = made.content[: made.content.index(b"PK\x03\x04")]
    path.write_bytes(pack_model_file(tflite, ("ok", "red"), spec, {}))
    config = write_config(
        model={"path": str(path)},
        cameras=[{"id": "top", "source": "test:", **camera}],
        mqtt={"port": free_port()},
    )
    _code, found = check(config)
    assert found["camera top"] == f"OK (a picture of 640×480, {words})"


@pytest.mark.slow
def test_every_fault_is_said_not_only_the_first(
    check: CheckRun, write_config: WriteConfig, tmp_path: Path
) -> None:
    """Camera, model, broker and disk are each tried; each fault is a line, exit code 1."""
    path = write_config(
        cameras=[
            {"id": "usb", "source": "v4l2:/dev/video77"},
            {"id": "drop", "source": f"folder:{tmp_path}"},
        ],
        model={"path": "none.tflite"},
        mqtt={"port": free_port()},
    )
    code, found = check(path)
    assert code == 1
    assert "no such device" in found["camera usb"]
    assert found["camera drop"].startswith("OK")
    assert "cannot be read" in found["model"]
    assert "no broker answers at 127.0.0.1" in found["broker"]
    assert "correct mqtt.host and mqtt.port" in found["broker"]
    assert found["disk"].startswith("OK")


def test_wrong_config_is_exit_code_2(check: CheckRun, write_config: WriteConfig) -> None:
    """With mistakes in the file nothing else is tried."""
    code, found = check(write_config(web={"port": 0}))
    assert code == 2
    assert list(found) == ["config"]
    assert "web.port" in check.err


def test_port_that_is_taken(check: CheckRun, write_config: WriteConfig, require: Require) -> None:
    """An embedded broker's port that is in use is reported with the fix."""
    require("amqtt", "pip install '.[broker]'")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, found = check(write_config(mqtt={"embedded": True, "port": taken.getsockname()[1]}))
    assert code == 1
    assert "Address already in use" in found["broker"]
    assert "mqtt.port" in found["broker"]


def test_bad_first_picture_is_said(
    check: CheckRun, write_config: WriteConfig, write_picture: WritePicture
) -> None:
    """A replay with a bad first picture is reported with the picture's name."""
    folder = write_picture("set/b.png").parent
    (folder / "a.png").write_bytes(b"")
    path = write_config(
        cameras=[{"id": "r", "source": f"replay:{folder}"}], mqtt={"port": free_port()}
    )
    _, found = check(path)
    assert "a.png: the file is empty" in found["camera r"]


def test_outbox_that_is_no_database(
    check: CheckRun, write_config: WriteConfig, tmp_path: Path
) -> None:
    """`check` reports a file that is no outbox before the daemon starts."""
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this was a database once" * 100)
    code, found = check(write_config(outbox={"path": str(broken)}))
    assert code == 1
    assert "broken.db: is a text file, not an outbox of edge-inspect" in found["disk"]
    assert broken.read_bytes().startswith(b"this was")


def test_a_wrong_history_is_reported(
    check: CheckRun, write_config: WriteConfig, tmp_path: Path
) -> None:
    """A file in the history's place is reported; a history that is turned off is none."""
    outbox = {"path": str(tmp_path / "outbox.db")}
    (tmp_path / "history.db").write_text("notes of the shift")
    code, found = check(write_config(outbox=outbox))
    assert code == 1
    assert "history.db: is no history of edge-inspect" in found["history"]
    code, found = check(write_config(outbox=outbox, history={"max_mb": 0}))
    assert found["history"] == "OK (off: history.max_mb is 0)"


def test_offline_asks_neither_camera_nor_broker(
    capsys: pytest.CaptureFixture[str], write_config: WriteConfig
) -> None:
    """`--offline`: config, model and files alone; a missing model is still exit code 1."""
    cameras = [{"id": "usb", "source": "v4l2:/dev/video77"}]
    good = write_config(cameras=cameras, mqtt={"port": free_port()})
    assert main(["check", "--offline", "-c", str(good)]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "config",
        "model",
        "disk",
        "history",
    ]
    bad = write_config(cameras=cameras, model={"path": "none.tflite"})
    assert main(["check", "--offline", "-c", str(bad)]) == 1
    assert "cannot be read" in capsys.readouterr().out

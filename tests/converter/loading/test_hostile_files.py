"""Damaged and malicious model files: refused in one sentence; no code runs, no file is written."""

import json
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.cli.main import main
from converter.loading.safety_scan import scan_model_file
from edge.core.errors import ModelError
from trainer.core.optional_imports import optional_import

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("tensorflow")]
Captured = pytest.CaptureFixture[str]


class _WritesFile:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "run")


def _archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def _with_config(trained: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a .keras file with another config.json."""
    with zipfile.ZipFile(trained) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            if info.filename != "edge-inspect.json":
                new.writestr(info.filename, content)
    return path


def _h5(path: Path, fill: Callable[[Any], None]) -> Path:
    with optional_import("h5py").File(path, "w") as file:
        fill(file)
    return path


def _truncated(trained: Path, folder: Path) -> Path:
    path = folder / "half.keras"
    path.write_bytes(trained.read_bytes()[: trained.stat().st_size // 2])
    return path


def _pickle_in_h5(_trained: Path, folder: Path) -> Path:
    path = folder / "model.h5"
    path.write_bytes(pickle.dumps(_WritesFile(folder / "was-run")))
    return path


def _zip_bomb(_trained: Path, folder: Path) -> Path:
    return _archive(
        folder / "bomb.keras",
        config__json=b"{}",
        metadata__json=b"{}",
        **{"model.weights.h5": bytes(100 * 2**20)},
    )


def _hdf5_bomb(_trained: Path, folder: Path) -> Path:
    def fill(file: Any) -> None:
        file.attrs["model_config"] = "{}"
        file.create_dataset("w", (2**33,), "f4", chunks=(2**20,), compression="gzip")

    return _h5(folder / "bomb.h5", fill)


def _external_link(_trained: Path, folder: Path) -> Path:
    def fill(file: Any) -> None:
        file.attrs["model_config"] = "{}"
        file["w"] = optional_import("h5py").ExternalLink("/etc/passwd", "/w")

    return _h5(folder / "link.h5", fill)


def _weights_only(_trained: Path, folder: Path) -> Path:
    return _h5(folder / "weights.h5", lambda file: file.create_dataset("w", data=np.zeros(3)))


def _other_class(trained: Path, folder: Path) -> Path:
    def change(config: dict[str, Any]) -> None:
        layer = config["config"]["layers"][2]
        layer.update(module="os", class_name="system", registered_name="system")

    return _with_config(trained, folder / "class.keras", change)


def _lambda_code(trained: Path, folder: Path) -> Path:
    def change(config: dict[str, Any]) -> None:
        layer = config["config"]["layers"][2]
        code = {"class_name": "__lambda__", "config": {"code": "4wAAAAAA", "defaults": None}}
        layer.update(class_name="Lambda", config={"name": "sly", "function": code})

    return _with_config(trained, folder / "lambda.keras", change)


def _no_saved_model(_trained: Path, folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _cut_saved_model(_trained: Path, folder: Path) -> Path:
    (folder / "cut").mkdir()
    (folder / "cut" / "saved_model.pb").write_bytes(b"\x08\x01\x12\xff\xff\xff")
    return folder / "cut"


def _file_operator(_trained: Path, folder: Path) -> Path:
    message = optional_import("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    node = message.meta_graphs.add().graph_def.node.add()
    node.op, node.name = "WriteFile", "sly"
    (folder / "sly").mkdir()
    (folder / "sly" / "saved_model.pb").write_bytes(message.SerializeToString())
    return folder / "sly"


def _tflite_file(trained: Path, folder: Path) -> Path:
    (folder / "m.keras").write_bytes(b"\x1c\0\0\0TFL3" + bytes(40))
    return folder / "m.keras"


HOSTILE: dict[Callable[[Path, Path], Path], str] = {
    _truncated: "not a whole .keras file",
    _pickle_in_h5: "a Python pickle",
    _zip_bomb: "would inflate to 104,857,600 bytes",
    _hdf5_bomb: "34,359,738,368 bytes of memory",
    _external_link: "points to another file",
    _weights_only: "contains weights without a network",
    _other_class: "whose code is not in the file",
    _lambda_code: "the layer 'sly' is a Lambda with Python code",
    _no_saved_model: "a folder without saved_model.pb",
    _cut_saved_model: "damaged or truncated",
    _file_operator: "the operator WriteFile at 'sly'",
    _tflite_file: "already a TFLite file",
}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__.strip("_"))
def test_damaged_and_malicious_files_are_refused(
    make: Callable[[Path, Path], Path], trained: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Exit code 2 and one sentence with the file and the fix; no code runs, no file is written."""
    path = make(trained, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    options = ("--labels", "ok,rust", "--scaling", "inside")
    code = main([str(path), "--data", str(data), "-o", str(tmp_path / "out.tflite"), *options])
    message = capsys.readouterr().err.strip()
    assert code == 2
    assert len(message.splitlines()) == 1
    assert path.name in message
    assert HOSTILE[make] in message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_cut_anywhere_is_no_internal_fault(trained: Path, tmp_path: Path) -> None:
    """A .keras file that is cut at any byte is refused before Keras opens it."""
    whole = trained.read_bytes()
    path = tmp_path / "cut.keras"
    for end in np.linspace(0, len(whole) - 1, 40).astype(int):
        path.write_bytes(whole[:end])
        with pytest.raises(ModelError, match=r"cut\.keras"):
            scan_model_file(path, allow_code=True)


def test_a_broken_picture_of_the_data_set_is_named(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """The conversion stops at a file that is no picture, and names it."""
    other = tmp_path / "other"
    shutil.copytree(data, other)
    broken = other / "ok" / "000.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    output = tmp_path / "out.tflite"
    assert main([str(trained), "--data", str(other), "-o", str(output)]) == 2
    assert "000.png" in capsys.readouterr().err
    assert not output.exists()


def test_a_killed_conversion_leaves_nothing(trained: Path, data: Path, tmp_path: Path) -> None:
    """A killed conversion leaves the older file and no partial file."""
    output = tmp_path / "out.tflite"
    output.write_bytes(b"yesterday's")
    arguments = [str(trained), "--data", str(data), "-o", str(output)]
    with subprocess.Popen(
        [sys.executable, "-m", "converter", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("trying"):
                child.kill()
                break
    assert child.returncode == -signal.SIGKILL
    assert output.read_bytes() == b"yesterday's"
    assert list(tmp_path.iterdir()) == [output]


def test_a_write_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """A killed write leaves no file under the model's name. Without O_TMPFILE, a hidden .part file
    may stay."""
    output = tmp_path / "out.tflite"
    code = (
        "import os, signal; from pathlib import Path; "
        "from converter.packaging import write_atomically; "
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL); "
        f"write_atomically(Path({str(output)!r}), b'x' * 1000)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert {path.suffix for path in tmp_path.iterdir()} <= {".part"}

"""Which model file config.yaml names, and that it is checked before it is read."""

from pathlib import Path

import pytest
from nacl.signing import SigningKey

from edge.config import Config, load_config
from edge.core.errors import ConfigError, EdgeInspectError, RefusedError
from edge.models import model_path, open_store, read_model
from tests.support.model_versions import write_version
from tests.support.models import MODELS
from tests.support.signing import SignedBy

REST = 'station: line1\ncameras: [{id: top, source: "test:"}]\n'


def config(folder: Path, path: str, **models: object) -> Config:
    """config.yaml with this `model.path`."""
    lines = "".join(f", {key}: {value}" for key, value in models.items())
    file = folder / "config.yaml"
    file.write_text(f"{REST}model: {{path: {path}}}\nmodels: {{path: versions{lines}}}\n")
    return load_config(file)


@pytest.mark.parametrize("path", ["redness.tflite", "./redness", "m/redness", "/m/redness"])
def test_a_path_names_a_file(tmp_path: Path, path: str) -> None:
    """It has a folder in it, or ends in .tflite. No switch changes it."""
    found = config(tmp_path, path)
    assert model_path(found) == tmp_path / path
    assert found.model_folder == (tmp_path / path).parent


def test_a_name_is_the_active_version(tmp_path: Path) -> None:
    """The same config.yaml, whatever is active."""
    named = config(tmp_path, "redness")
    with pytest.raises(RefusedError, match=r"no version of the model redness is active"):
        read_model(named)
    store = open_store(named)
    for version in ("1", "2"):
        file = write_version(tmp_path / "x.tflite", version)
        store.activate(store.install(store.read_candidate(file), "kim"), "kim")
        assert read_model(named).identity.version == version
        assert model_path(named).read_bytes() == file.read_bytes()
    assert named.model_folder == tmp_path / "versions" / "names"
    assert read_model(named, MODELS / "redness.tflite").identity.version == "1"


def test_a_name_without_versions_says_how_a_file_is_written(tmp_path: Path) -> None:
    """An older config.yaml may name a file without a folder and ending."""
    (tmp_path / "model").write_bytes(b"")
    with pytest.raises(RefusedError, match=r"write a file with its folder: model\.path: \./model"):
        read_model(config(tmp_path, "model"))


def test_with_keys_a_file_needs_its_signature_too(tmp_path: Path) -> None:
    """`model.path: FILE` is no way around `models.keys`."""
    signer = SignedBy(SigningKey.generate())
    signer.write_public(tmp_path / "plant.pub")
    file = write_version(tmp_path / "x.tflite", "3")
    found = config(tmp_path, "x.tflite", keys="[plant.pub]")
    with pytest.raises(RefusedError, match=r"x\.tflite: is not signed"):
        read_model(found)
    file.with_name("x.tflite.minisig").write_bytes(signer.sign(file.read_bytes()))
    assert read_model(found).signed_by == signer.public.id
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(RefusedError, match="was changed after it was signed"):
        read_model(found)


def test_the_signature_is_checked_before_the_file_is_interpreted(tmp_path: Path) -> None:
    """An unsigned file that is no model is refused as unsigned."""
    SignedBy(SigningKey.generate()).write_public(tmp_path / "plant.pub")
    (tmp_path / "x.tflite").write_bytes(b"not a model")
    with pytest.raises(RefusedError, match="is not signed"):
        read_model(config(tmp_path, "x.tflite", keys="[plant.pub]"))


def test_at_most_two_keys_that_can_be_read(tmp_path: Path) -> None:
    """Two, for a key change."""
    for name in "abc":
        SignedBy(SigningKey.generate()).write_public(tmp_path / f"{name}.pub")
    config(tmp_path, "x.tflite", keys="[a.pub, b.pub]")
    with pytest.raises(ConfigError, match=r"models\.keys: .*2"):
        config(tmp_path, "x.tflite", keys="[a.pub, b.pub, c.pub]")
    with pytest.raises(ConfigError, match=r"models\.keys\[0\]: cannot be read"):
        config(tmp_path, "x.tflite", keys="[none.pub]")
    (tmp_path / "a.pub").write_text("hello")
    with pytest.raises(EdgeInspectError, match=r"a\.pub: is no public key of minisign"):
        read_model(config(tmp_path, str(MODELS / "redness.tflite"), keys="[a.pub]"))

"""The model that config.yaml names: a file, or the active version of a name. Every part of the
daemon and of the command line finds it here."""

import time
from pathlib import Path

from edge.config import Config, for_recipe, names_model
from edge.inspection import ModelFile, load_model_file
from edge.models.candidate import verified
from edge.models.signature import PublicKey, read_public_key
from edge.models.store import ModelStore, read_content, signature_beside


def open_store(config: Config) -> ModelStore:
    """The store of this configuration. Reads nothing yet."""
    return ModelStore(config.models.path, lambda: _keys(config), config.models.max_mb, time.time)


def model_path(config: Config, which: Path | None = None) -> Path:
    """The file of the model that `which` names, by default `model.path`. Raises RefusedError when
    no version of the name is active."""
    path = config.model.path if which is None else which
    if not names_model(path):
        return path
    store = open_store(config)
    return store.path_of(store.active(str(path)).sha256)


def read_model(config: Config, which: Path | None = None) -> ModelFile:
    """Reads the same model, and checks its hash and signature before anything in it is interpreted.
    Raises EdgeInspectError."""
    path = config.model.path if which is None else which
    if names_model(path):
        store = open_store(config)
        return store.load(store.active(str(path)))
    if not config.models.keys:
        return load_model_file(path)
    file, _ = verified(read_content(path), signature_beside(path), str(path), _keys(config))
    return file


def configs_judging_by(config: Config, name: str) -> dict[int | None, Config]:
    """The configurations that judge by a model of this name: the common part's under None, and the
    merged one of each such recipe under its number."""
    found: dict[int | None, Config] = {None: config}
    found |= {one.number: for_recipe(config, one.number) for one in config.recipes}
    return {key: one for key, one in found.items() if one.model.path == Path(name)}


def _keys(config: Config) -> tuple[PublicKey, ...]:
    return tuple(map(read_public_key, config.models.keys))

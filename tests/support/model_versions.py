"""Versions of the redness model: the same network with another name, version and thresholds."""

import io
import time
import zipfile
from pathlib import Path

from edge.inspection import ModelFile, load_model_file, pack_model_file
from edge.models import ModelStore, ShadowRecord
from tests.support.models import MODELS


def redness() -> ModelFile:
    """tests/models/redness.tflite, version 1."""
    return load_model_file(MODELS / "redness.tflite")


def version_of_redness(
    version: str = "2",
    *,
    name: str = "redness",
    labels: tuple[str, ...] = ("ok", "red"),
    reject_at: float = 0.6,
    review_from: float | None = None,
    golden_score: float | None = None,
    width: int | None = None,
) -> bytes:
    """A model file. `golden_score`: what the golden pictures must score, in place of the truth;
    `width`: what the preprocessing makes, in place of what the network takes."""
    file = redness()
    assert file.spec is not None
    spec = file.spec
    golden = spec.golden
    if golden_score is not None:
        golden = tuple(one.replace(score=golden_score) for one in golden)
    thresholds = spec.thresholds.replace(reject_at=reject_at)
    if review_from is not None:
        thresholds = thresholds.replace(review_from=review_from)
    spec = spec.replace(
        name=name,
        version=version,
        thresholds=thresholds,
        golden=golden,
        input=spec.input if width is None else spec.input.replace(width=width),
    )
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        end = min(info.header_offset for info in archive.infolist())
    return pack_model_file(file.content[:end], labels, spec, file.golden)


def write_version(path: Path, version: str = "2", **changes: object) -> Path:
    """Writes a model file."""
    path.write_bytes(version_of_redness(version, **changes))  # type: ignore[arg-type]
    return path


def install_with_shadow(folder: Path, **changes: object) -> Path:
    """A store with redness@1 active, and redness@2 judging along from the next start on. `changes`:
    of redness@2. Returns the store's folder."""
    store = ModelStore(folder / "versions", lambda: (), 1024, time.time)
    files = (
        write_version(folder / "1.tflite", "1"),
        write_version(folder / "2.tflite", "2", **changes),
    )
    first, second = (store.install(store.read_candidate(path), "kim") for path in files)
    store.activate(first, "kim")
    store.save_shadow(
        ShadowRecord(name=second.name, version=second.version, sha256=second.sha256, by="kim")
    )
    return store.folder

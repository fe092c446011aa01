"""Versions of the redness model: the same network with another name, version and thresholds."""

import io
import time
import zipfile
from pathlib import Path
from typing import Literal

from edge.core.image import examine_picture
from edge.inspection import (
    ModelFile,
    load_inspector,
    load_model_file,
    pack_model_file,
    parse_model_file,
)
from edge.inspection.decoding import model_input
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
    standardisation: Literal["none", "per_picture"] = "none",
) -> bytes:
    """A model file. `golden_score`: what the golden pictures must score, in place of the truth;
    `width`: what the preprocessing makes, in place of what the network takes; `standardisation`: of
    a network that was trained in another light."""
    file = redness()
    assert file.spec is not None
    spec = file.spec
    golden = spec.golden
    if golden_score is not None:
        golden = tuple(one.replace(score=golden_score) for one in golden)
    spec = spec.replace(
        name=name,
        version=version,
        thresholds=spec.thresholds.replace(
            reject_at=reject_at,
            review_from=review_from or min(reject_at, spec.thresholds.review_from),
        ),
        golden=golden,
        input=spec.input.replace(width=width or spec.input.width, standardisation=standardisation),
    )
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        end = min(info.header_offset for info in archive.infolist())
    network = file.content[:end]
    return pack_model_file(network, labels, spec, file.golden)


def with_true_golden_scores(content: bytes) -> bytes:
    """The same model file, whose golden pictures score what it makes of them: so a model that
    judges otherwise passes its own check, as one that was trained badly does."""
    file = parse_model_file(content, "a version")
    assert file.spec is not None
    inspector = load_inspector(file)
    golden = []
    for one in file.spec.golden:
        picture = examine_picture(file.golden[one.file], one.file)
        tensor = model_input(picture, file.spec.input, pinned=True)
        golden.append(one.replace(score=inspector.judge(tensor).score))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        end = min(info.header_offset for info in archive.infolist())
    spec = file.spec.replace(golden=tuple(golden))
    return pack_model_file(content[:end], file.labels or (), spec, file.golden)


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

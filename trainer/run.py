"""One training run from a folder of pictures to a judged model on disk."""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge import __version__
from edge.inspection.decision import Thresholds
from edge.inspection.modelfile import OutputSpec
from trainer.checkpoint import Checkpoint
from trainer.claims import check_provable
from trainer.dataset import PARTS, Dataset, load_dataset
from trainer.extra import keras, tensorflow
from trainer.fit import fit
from trainer.metrics import Evaluation
from trainer.networks import input_of
from trainer.parts import load_parts
from trainer.progress import Display
from trainer.recipe import Recipe
from trainer.rundir import EVALUATION, HISTORY, MODEL, finish_run, prepare_run, write_json
from trainer.settle import settle
from trainer.trained import TrainedSpec, probabilities, save_trained
from trainer.wish import Wish

SPLIT = {"seed": 0, "validation_fraction": 0.2, "test_fraction": 0.25}
EVALUATION_SCHEMA = "edge-inspect/evaluation/1"


def train(
    root: Path,
    run: Path,
    recipe: Recipe,
    *,
    ok_label: str,
    name: str | None,
    wish: Wish | None = None,
) -> Evaluation:
    """Trains on `root`, writes `run` and says on standard output how it goes.

    Returns the figures of the test part. Raises EdgeInspectError for what a user can mend.
    """
    wanted = input_of(recipe.network, recipe.side)
    data = load_dataset(
        root,
        ok_label,
        seed=int(SPLIT["seed"]),
        validation_fraction=SPLIT["validation_fraction"],
        test_fraction=SPLIT["test_fraction"],
    )
    test = data.counts()["test"]
    check_provable(wish or Wish(), test[ok_label], sum(test.values()) - test[ok_label])
    unfinished = prepare_run(run, root)
    with Display() as display:
        display.say(describe(data))
        display.say(f"network        {recipe.network}, seed {recipe.seed}")
        fingerprint = data.fingerprint()
        version = _version(fingerprint, recipe)
        parts = load_parts(data, fingerprint, wanted, unfinished, display.reading)
        model, history = fit(
            recipe,
            parts["train"],
            parts["validation"],
            len(data.labels),
            display,
            checkpoint=Checkpoint(unfinished / f"{recipe.network}.npz", version),
        )
        spec = TrainedSpec(
            name=name or root.resolve().name or "model",
            version=version,
            labels=data.labels,
            ok_label=ok_label,
            input=wanted,
            output=OutputSpec(kind="probabilities"),
            thresholds=Thresholds(reject_at=1, review_from=1),
            data=_provenance(data, fingerprint),
            training=recipe.as_json() | {"best_epoch": _best(history), "ran": len(history)},
            tools=_tools(),
        )
        found = {
            part: probabilities(model, spec, parts[part].pictures)
            for part in ("validation", "test")
        }
        spec, judged = settle(run, data, spec, **found, wish=wish)
        write_json(run / HISTORY, [asdict(epoch) for epoch in history])
        write_json(run / EVALUATION, as_file(judged, spec.name, spec.version, fingerprint))
        save_trained(model, spec, run / MODEL)  # last: the run counts once its model is there
        finish_run(run)
    return judged


def as_file(judged: Evaluation, name: str, version: str, fingerprint: str) -> dict[str, Any]:
    """evaluation.json: which model, which pictures, which figures."""
    return {
        "schema": EVALUATION_SCHEMA,
        "model": {"name": name, "version": version},
        "data": {"fingerprint": fingerprint, "part": "test"},
        "test": judged.as_json(),
    }


def describe(data: Dataset) -> str:
    """How many pictures and groups each part holds, as a table."""
    width = max(len("validation"), *map(len, PARTS))
    columns = [max(8, len(label) + 2) for label in data.labels]
    head = "".join(f"{label:>{w}}" for label, w in zip(data.labels, columns))
    lines = [f"data           {data.root}", f"{'part':<{width}} {head}  groups"]
    for part, counts in data.counts().items():
        row = "".join(f"{counts[label]:>{w}}" for label, w in zip(data.labels, columns))
        groups = len({sample.group for sample in data.samples if sample.part == part})
        lines.append(f"{part:<{width}} {row}  {groups:>6}")
    return "\n".join(lines)


def _best(history: Sequence[Any]) -> int:
    return max((epoch.number for epoch in history if epoch.best), default=0)


def _version(fingerprint: str, recipe: Recipe) -> str:
    """The same pictures and recipe are the same version; anything else is another."""
    recorded = json.dumps([fingerprint, recipe.as_json(), SPLIT, __version__], sort_keys=True)
    return hashlib.sha256(recorded.encode()).hexdigest()[:12]


def _provenance(data: Dataset, fingerprint: str) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "split_seed": SPLIT["seed"],
        "validation_fraction": SPLIT["validation_fraction"],
        "test_fraction": SPLIT["test_fraction"],
        "counts": data.counts(),
    }


def _tools() -> dict[str, str]:
    return {
        "edge-inspect": __version__,
        "python": platform.python_version(),
        "tensorflow": str(tensorflow().__version__),
        "keras": str(keras().__version__),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }

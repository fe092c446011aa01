"""Trains the same settings from several seeds, to show how the figures vary."""

import json
import statistics
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from edge.core.view import ViewConfig
from trainer.core import write_json
from trainer.data import Variations
from trainer.evaluation import Evaluation
from trainer.networks import read_spec
from trainer.training.run_folder import EVALUATION, MODEL
from trainer.training.settings import TrainingRequest, TrainingSettings

SEEDS = "seeds"
SPREAD = "seeds.json"
COMPARED_FIGURES = ("auroc", "average_precision")

Train = Callable[[Path, TrainingRequest], Evaluation]


def train_seeds(run: Path, count: int, train: Train) -> dict[str, Any]:
    """Trains the settings of the finished `run` with further seeds, `count` in all, at least 2.

    Each run goes into RUN/seeds/SEED; `train` trains a request into a folder. Returns and writes
    seeds.json: the figures of the test set by seed, with mean and standard deviation. The model
    of `run` stays the one to use, because a choice of seed by test figures would flatter.
    """
    spec = read_spec(run / MODEL)
    assert spec is not None, "train wrote it"
    settings = settings_from_spec(spec.training)
    test = json.loads((run / EVALUATION).read_text(encoding="utf-8"))["test"]
    found = {str(settings.seed): {name: float(test[name]) for name in COMPARED_FIGURES}}
    for seed in range(settings.seed + 1, settings.seed + count):
        evaluation = train(run / SEEDS / str(seed), TrainingRequest(settings.replace(seed=seed)))
        found[str(seed)] = {name: float(getattr(evaluation, name)) for name in COMPARED_FIGURES}
    spread = {
        name: {
            "mean": statistics.fmean(one[name] for one in found.values()),
            "deviation": statistics.stdev(one[name] for one in found.values()),
        }
        for name in COMPARED_FIGURES
    }
    result = {"by_seed": found, "spread": spread}
    write_json(run / SPREAD, result)
    return result


def settings_from_spec(training: dict[str, Any]) -> TrainingSettings:
    """The settings in a model's spec; other keys are ignored."""
    known = {one.name for one in fields(TrainingSettings)}
    values = {name: value for name, value in training.items() if name in known}
    if isinstance(values.get("variations"), dict):
        values["variations"] = Variations(**values["variations"])
    if isinstance(values.get("region"), list):
        values["region"] = tuple(values["region"])
    if isinstance(values.get("view"), dict):
        values["view"] = ViewConfig.read(values["view"])
    return TrainingSettings(**values)


def spread_text(spread: dict[str, Any]) -> str:
    """One line for a terminal."""
    figures = ", ".join(
        f"{name.replace('_', ' ')} {one['mean']:.3f} ± {one['deviation']:.3f}"
        for name, one in spread["spread"].items()
    )
    return f"{len(spread['by_seed'])} seeds        {figures} (mean and standard deviation)"

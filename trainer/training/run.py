"""One training run from a folder of pictures to a judged model on disk."""

import hashlib
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge import __version__
from edge.inspection.decision import Thresholds
from edge.inspection.modelfile import OutputSpec
from trainer.audit.training_check import audit_training
from trainer.core.atomic_write import write_json
from trainer.core.optional_imports import keras, tensorflow
from trainer.core.progress import Display
from trainer.data.dataset import Dataset, load_dataset
from trainer.data.summary import describe, is_painted
from trainer.evaluation.claims import check_provable
from trainer.evaluation.finalize import as_file, settle
from trainer.evaluation.metrics import Evaluation
from trainer.evaluation.requirements import Wish
from trainer.networks import build_network, input_of
from trainer.networks.hub import PREFIX as HUB
from trainer.networks.trained_model import TrainedSpec, probabilities, save_trained
from trainer.training.candidate_run import Trial, Work, run_trial
from trainer.training.fitting_networks import Pace, pace_of
from trainer.training.model_selection import (
    as_table,
    candidates,
    plan,
    plan_as_json,
    plan_from_json,
    recommend,
)
from trainer.training.one_class import NETWORK, one_class_trial
from trainer.training.run_folder import (
    BASELINE,
    CANDIDATES,
    EVALUATION,
    HISTORY,
    MODEL,
    PREVIEW,
    finish_run,
    prepare_run,
)
from trainer.training.settings import Order, Recipe, usual

SPLIT = {"seed": 0, "validation_fraction": 0.2, "test_fraction": 0.25}
FALSE_REJECT = 0.05  # at which candidates are compared where the plant states none


def train(
    root: Path,
    run: Path,
    order: Order,
    *,
    ok_label: str,
    name: str | None,
    wish: Wish | None = None,
    allow_leaks: bool = False,
) -> Evaluation:
    """Trains on `root`, writes `run` and says on standard output how it goes.

    Stopped at any moment and given again, it goes on where it was. Returns the figures of the
    test part. Raises EdgeInspectError for what a user can mend.
    """
    wish = wish or Wish()
    data = load_dataset(
        root,
        ok_label,
        seed=int(SPLIT["seed"]),
        validation_fraction=SPLIT["validation_fraction"],
        test_fraction=SPLIT["test_fraction"],
        one_class=order.one_class,
    )
    test = data.counts()["test"]
    check_provable(wish, test[ok_label], sum(test.values()) - test[ok_label])
    unfinished = prepare_run(run, root)
    if order.recipe.network.startswith(HUB):
        # built once for nothing: weights that cannot be fetched are said before time is spent
        wanted = input_of(order.recipe.network, order.recipe.side)
        build_network(order.recipe.network, len(data.labels), wanted)
    with Display() as display:
        display.say(describe(data))
        pace = pace_of(order, len(data.labels), display.say)
        audited = audit_training(data, allow_leaks, display)
        data = data.without(audited.get("set_aside", ()))
        work = Work(data, data.fingerprint(), unfinished)
        trials = _trials(order, work, wish, display, pace)
        taken, why = recommend(trials)
        if order.auto:
            display.say(f"{as_table(trials)}\nrecommended    {why}")
            entries = [trial.as_json() | {"recommended": trial is taken} for trial in trials]
            write_json(run / CANDIDATES, {"candidates": entries, "why": why})
        model_name = name or root.resolve().name or "model"
        if order.baseline and taken.recipe.network != "baseline":
            asked = order.recipe
            plain = usual("baseline").changed(seed=asked.seed, view=asked.view, region=asked.region)
            version = _version(work.fingerprint, plain)
            trial = run_trial(work, plain, version, display, FALSE_REJECT, timed=False)
            (run / BASELINE).mkdir(exist_ok=True)
            _finish(run / BASELINE, work, trial, model_name, wish, audited=audited)
        judged = _finish(run, work, taken, model_name, wish, audited=audited)
        finish_run(run)
    return judged


def _trials(
    order: Order, work: Work, wish: Wish, display: Display, pace: Pace | None
) -> list[Trial]:
    if order.one_class:
        version = _version(work.fingerprint, order.recipe)
        return [one_class_trial(work, order.recipe, version, display)]
    return [
        run_trial(
            work,
            recipe,
            _version(work.fingerprint, recipe),
            display,
            wish.max_false_reject or FALSE_REJECT,
            timed=order.auto,
        )
        for recipe in _recipes(order, work, display, pace)
    ]


def _recipes(order: Order, work: Work, display: Display, pace: Pace | None) -> tuple[Recipe, ...]:
    if not order.auto:
        return (order.recipe,)
    pictures, classes = len(work.data.of("train")), len(work.data.labels)
    wanted = candidates(order.recipe, pictures)
    if pace is not None:
        wanted = pace.kept(wanted, display.say)
    kept = work.folder / f"plan-{_version(work.fingerprint, *wanted)}.json"
    if kept.exists():
        made = plan_from_json(json.loads(kept.read_text("utf-8")), wanted)
    else:
        display.say("timing         a few steps of each candidate")
        made = plan(wanted, pictures, classes, order.minutes)
        write_json(kept, plan_as_json(made))
    for line in made.left_out:
        display.say(line)
    return made.recipes


def _finish(
    folder: Path, work: Work, trial: Trial, name: str, wish: Wish, *, audited: dict[str, Any]
) -> Evaluation:
    """Thresholds, figures of the test part and the files of one trained network."""
    data, recipe = work.data, trial.recipe
    best = max((epoch.number for epoch in trial.history if epoch.best), default=0)
    spec = TrainedSpec(
        name=name,
        version=_version(work.fingerprint, recipe),
        labels=data.labels,
        ok_label=data.ok_label,
        input=trial.input,
        output=OutputSpec(kind="probabilities"),
        thresholds=Thresholds(reject_at=1, review_from=1),
        data=_provenance(data, work.fingerprint)
        | {"one_class": recipe.network == NETWORK, "audit": audited}
        | ({"painted": True} if is_painted(data) else {}),
        training=recipe.as_json()
        | {"best_epoch": best, "ran": len(trial.history), "input": list(trial.reasons)},
        tools=_tools(),
    )
    found = {
        part: probabilities(trial.model, spec, trial.parts[part].pictures)
        for part in ("validation", "test")
    }
    spec, judged = settle(folder, data, spec, **found, wish=wish)
    write_json(folder / HISTORY, [asdict(epoch) for epoch in trial.history])
    write_json(folder / EVALUATION, as_file(judged, spec.name, spec.version, work.fingerprint))
    trial.preview.replace(folder / PREVIEW)
    save_trained(trial.model, spec, folder / MODEL)  # last: a run counts once its model is there
    return judged


def _version(fingerprint: str, *recipes: Recipe) -> str:
    """The same pictures and recipe are the same version; anything else is another."""
    recorded = json.dumps(
        [fingerprint, *(recipe.as_json() for recipe in recipes), SPLIT, __version__], sort_keys=True
    )
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

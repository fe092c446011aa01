"""`--network auto`: which networks are tried within the time, and which one is recommended."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.core.optional_imports import keras
from trainer.networks import build_network, network
from trainer.training.candidate_run import Trial
from trainer.training.fit import class_weights
from trainer.training.input_choice import input_for
from trainer.training.learner import Learner
from trainer.training.settings import Recipe, usual

FEW = 300  # training pictures; below this, training from scratch or tuning stays near chance
LEAST = 0.3  # of a recipe's epochs: with fewer it would be judged by what it is not
EVEN = 0.005  # differences of AUROC that the choice of pictures alone makes
TIMED_STEPS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """The recipes to be tried, and why others are not, in sentences."""

    recipes: tuple[Recipe, ...]
    left_out: tuple[str, ...]


def candidates(base: Recipe, pictures: int) -> tuple[Recipe, ...]:
    """The recipes that suit so many training pictures, the most promising first.

    `base` is what the options said; its seed, view, region and variations are taken.
    """
    shared = {
        "seed": base.seed,
        "variations": base.variations,
        "view": base.view,
        "region": base.region,
    }
    lite = usual("pretrained").changed(**shared)
    if pictures < FEW:
        return lite.changed(tune=False, side=224), lite.changed(tune=False, side=128)
    return lite, usual("compact").changed(**shared), lite.changed(side=128)


def plan(wanted: Sequence[Recipe], pictures: int, classes: int, minutes: float) -> Plan:
    """Fits the recipes into the time, by the time of a few steps here: fewer epochs, or none.

    In time enough every recipe keeps its epochs, so that the result does not depend on the hour.
    """
    left, chosen, out = minutes * 60, [], []
    for recipe in wanted:
        needed = seconds_an_epoch(recipe, pictures, classes)
        if not recipe.tune:
            chosen.append(recipe)  # one look at each picture: less than an epoch
            left -= needed
            continue
        epochs = min(recipe.epochs, int(left / needed))
        if epochs < LEAST * recipe.epochs:
            out.append(
                f"{recipe.network} is not tried: {recipe.epochs} epochs need about "
                f"{recipe.epochs * needed / 60:.0f} minutes here, {max(0, left) / 60:.0f} are left "
                "(--time-budget)"
            )
            continue
        chosen.append(recipe.changed(epochs=epochs))
        left -= epochs * needed
    return Plan(tuple(chosen), tuple(out))


def seconds_an_epoch(recipe: Recipe, pictures: int, classes: int) -> float:
    """How long an epoch will take on this machine: float, seconds, above 0."""
    spec = input_for(recipe)
    learned = network(recipe.network).learned
    keras().utils.set_random_seed(recipe.seed)
    model = build_network(recipe.network, classes, spec)
    learner = Learner(model, recipe, frozen_norm=learned)
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (recipe.batch, *spec.shape)).astype(np.uint8)
    truth = np.arange(recipe.batch) % classes
    weights = class_weights(truth, classes)[truth]
    learner.step(batch, truth, weights, rng, 0.0)  # the first one traces the graph
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        learner.step(batch, truth, weights, rng, 0.0)
    # a fifth for augmentation and the look at the validation part
    return 1.2 * (time.perf_counter() - started) / TIMED_STEPS * max(1, pictures / recipe.batch)


def recommend(trials: Sequence[Trial]) -> tuple[Trial, str]:
    """The trial to take, and why: by AUROC, then recall at the false-reject rate, then time.

    Trials whose AUROC is within 0.005 of the best are even; among them the one of most recall is
    taken, and of those within 0.02 of that the quickest on a box.
    """
    best = max(trial.auroc for trial in trials)
    even = [trial for trial in trials if trial.auroc >= best - EVEN]
    most = max(trial.recall for trial in even)
    sharp = [trial for trial in even if trial.recall >= most - 4 * EVEN]
    taken = min(sharp, key=lambda trial: (trial.milliseconds or 0.0, -trial.auroc))
    quick = "" if taken.milliseconds is None else f", {taken.milliseconds:.2f} ms in int8 here"
    return taken, (
        f"{taken.title}: AUROC {taken.auroc:.3f} and {taken.recall:.0%} of defects found at "
        f"{taken.false_reject:.0%} false rejects on the validation part{quick}"
    )


def as_table(trials: Sequence[Trial]) -> str:
    """The trials as lines for a terminal."""
    lines = [f"{'candidate':<24} {'AUROC':>6} {'recall':>7} {'ms':>6}   (validation part)"]
    for trial in trials:
        time_needed = "-" if trial.milliseconds is None else f"{trial.milliseconds:.2f}"
        lines.append(f"{trial.title:<24} {trial.auroc:6.3f} {trial.recall:7.0%} {time_needed:>6}")
    return "\n".join(lines)


def plan_as_json(made: Plan) -> dict[str, Any]:
    """So that a stopped run goes on with the same plan, whatever else the machine does then."""
    epochs = [[r.network, r.tune, r.side, r.epochs] for r in made.recipes]
    return {"recipes": epochs, "left_out": list(made.left_out)}


def plan_from_json(kept: Any, wanted: Sequence[Recipe]) -> Plan:
    """The plan that was kept, of the same candidates."""
    known = {(r.network, r.tune, r.side): r for r in wanted}
    recipes = [known[name, tune, side].changed(epochs=n) for name, tune, side, n in kept["recipes"]]
    return Plan(tuple(recipes), tuple(kept["left_out"]))

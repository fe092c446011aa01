"""`--network auto`: which networks are tried within the time, and which one is recommended."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.core import keras
from trainer.networks import build_network, network
from trainer.training.candidate_run import CandidateRun
from trainer.training.fit import class_weights
from trainer.training.input_choice import input_for
from trainer.training.learner import Learner
from trainer.training.settings import TrainingSettings, default_settings

FEW_PICTURES = (
    300  # training pictures; below this, training from scratch or tuning stays near chance
)
MIN_EPOCHS = 0.3  # of a candidate's epochs: with fewer it has not learned enough to compare
EQUAL_AUROC = 0.005  # differences of AUROC that the choice of pictures alone makes
TIMED_STEPS = 3


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """The candidates to train, and why others are left out, in sentences."""

    all_settings: tuple[TrainingSettings, ...]
    left_out: tuple[str, ...]


def candidate_settings(base: TrainingSettings, pictures: int) -> tuple[TrainingSettings, ...]:
    """The settings that suit the number of training pictures, the most promising first.

    `base` is what the options said; its seed, view, region and variations are taken.
    """
    shared = {
        "seed": base.seed,
        "variations": base.variations,
        "view": base.view,
        "region": base.region,
    }
    lite = default_settings("pretrained").replace(**shared)
    if pictures < FEW_PICTURES:
        return lite.replace(tune=False, side=224), lite.replace(tune=False, side=128)
    return lite, default_settings("compact").replace(**shared), lite.replace(side=128)


def plan_candidates(
    wanted: Sequence[TrainingSettings], pictures: int, classes: int, minutes: float
) -> CandidatePlan:
    """Fits the candidates into the time budget: fewer epochs, or left out.

    With enough time every candidate keeps its epochs, so the result does not depend on load.
    """
    left, chosen, out = minutes * 60, [], []
    for settings in wanted:
        needed = seconds_an_epoch(settings, pictures, classes)
        if not settings.tune:
            chosen.append(settings)  # one look at each picture: less than an epoch
            left -= needed
            continue
        epochs = min(settings.epochs, int(left / needed))
        if epochs < MIN_EPOCHS * settings.epochs:
            out.append(
                f"{settings.network} is not tried: {settings.epochs} epochs need about "
                f"{settings.epochs * needed / 60:.0f} minutes here, {max(0, left) / 60:.0f} are "
                "left (--time-budget)"
            )
            continue
        chosen.append(settings.replace(epochs=epochs))
        left -= epochs * needed
    return CandidatePlan(tuple(chosen), tuple(out))


def seconds_an_epoch(settings: TrainingSettings, pictures: int, classes: int) -> float:
    """How long an epoch will take on this machine: float, seconds, above 0."""
    spec = input_for(settings)
    learned = network(settings.network).pretrained_weights
    keras().utils.set_random_seed(settings.seed)
    model = build_network(settings.network, classes, spec)
    learner = Learner(model, settings, frozen_norm=learned)
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (settings.batch, *spec.shape)).astype(np.uint8)
    truth = np.arange(settings.batch) % classes
    weights = class_weights(truth, classes)[truth]
    learner.step(batch, truth, weights, rng, 0.0)  # the first one traces the graph
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        learner.step(batch, truth, weights, rng, 0.0)
    # a fifth for augmentation and the look at the validation set
    return 1.2 * (time.perf_counter() - started) / TIMED_STEPS * max(1, pictures / settings.batch)


def recommend(candidates: Sequence[CandidateRun]) -> tuple[CandidateRun, str]:
    """The trial to take, and why: by AUROC, then recall at the false-reject rate, then time.

    Trials whose AUROC is within 0.005 of the best are even; among them the one of most recall is
    taken, and of those within 0.02 of that the quickest on a box.
    """
    best = max(candidate.auroc for candidate in candidates)
    even = [candidate for candidate in candidates if candidate.auroc >= best - EQUAL_AUROC]
    most = max(candidate.recall for candidate in even)
    sharp = [candidate for candidate in even if candidate.recall >= most - 4 * EQUAL_AUROC]
    taken = min(sharp, key=lambda candidate: (candidate.milliseconds or 0.0, -candidate.auroc))
    quick = "" if taken.milliseconds is None else f", {taken.milliseconds:.2f} ms in int8 here"
    return taken, (
        f"{taken.title}: AUROC {taken.auroc:.3f} and {taken.recall:.0%} of defects found at "
        f"{taken.false_reject:.0%} false rejects on the validation set{quick}"
    )


def candidates_table(candidates: Sequence[CandidateRun]) -> str:
    """The trials as lines for a terminal."""
    lines = [f"{'candidate':<24} {'AUROC':>6} {'recall':>7} {'ms':>6}   (validation set)"]
    for candidate in candidates:
        time_needed = "-" if candidate.milliseconds is None else f"{candidate.milliseconds:.2f}"
        lines.append(
            f"{candidate.title:<24} {candidate.auroc:6.3f} {candidate.recall:7.0%} {time_needed:>6}"
        )
    return "\n".join(lines)


def plan_as_json(plan: CandidatePlan) -> dict[str, Any]:
    """So that a stopped run goes on with the same plan, whatever else the machine does then."""
    epochs = [[r.network, r.tune, r.side, r.epochs] for r in plan.all_settings]
    return {"recipes": epochs, "left_out": list(plan.left_out)}


def plan_from_json(kept: Any, wanted: Sequence[TrainingSettings]) -> CandidatePlan:
    """The plan that was kept, of the same candidates."""
    known = {(r.network, r.tune, r.side): r for r in wanted}
    all_settings = [
        known[name, tune, side].replace(epochs=n) for name, tune, side, n in kept["recipes"]
    ]
    return CandidatePlan(tuple(all_settings), tuple(kept["left_out"]))

"""`--network auto`: chooses the candidates for the time budget and recommends one of them."""

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

MIN_PICTURES_TO_TUNE = 300  # training pictures; with fewer, tuning stays near chance
MIN_EPOCH_SHARE = 0.3  # of a candidate's epochs: with fewer it is no fair comparison
EQUAL_AUROC = 0.005  # difference of AUROC within sampling noise
TIMED_STEPS = 3


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """The candidates to train, and why others are left out, in sentences."""

    all_settings: tuple[TrainingSettings, ...]
    left_out: tuple[str, ...]


def candidate_settings(base: TrainingSettings, pictures: int) -> tuple[TrainingSettings, ...]:
    """The settings that suit the number of training pictures, the most promising first.

    All of them take the seed, view, region and variations of `base`.
    """
    shared = {
        "seed": base.seed,
        "variations": base.variations,
        "view": base.view,
        "region": base.region,
        "decoding": base.decoding,
    }
    lite = default_settings("pretrained").replace(**shared)
    if pictures < MIN_PICTURES_TO_TUNE:
        return lite.replace(tune=False, side=224), lite.replace(tune=False, side=128)
    return lite, default_settings("compact").replace(**shared), lite.replace(side=128)


def plan_candidates(
    candidates: Sequence[TrainingSettings], pictures: int, classes: int, minutes: float
) -> CandidatePlan:
    """Fits the candidates into the time budget: shortens them or leaves them out.

    With enough time every candidate keeps its epochs, so the result does not depend on load.
    """
    left, chosen, left_out = minutes * 60, [], []
    for settings in candidates:
        epoch_seconds = seconds_an_epoch(settings, pictures, classes)
        if not settings.tune:
            chosen.append(settings)  # one inference of each picture: less than an epoch
            left -= epoch_seconds
            continue
        epochs = min(settings.epochs, int(left / epoch_seconds))
        if epochs < MIN_EPOCH_SHARE * settings.epochs:
            left_out.append(
                f"{settings.network} is not tried: {settings.epochs} epochs need about "
                f"{settings.epochs * epoch_seconds / 60:.0f} minutes here, "
                f"{max(0, left) / 60:.0f} are left (--time-budget)"
            )
            continue
        chosen.append(settings.replace(epochs=epochs))
        left -= epochs * epoch_seconds
    return CandidatePlan(tuple(chosen), tuple(left_out))


def seconds_an_epoch(settings: TrainingSettings, pictures: int, classes: int) -> float:
    """The estimated seconds of an epoch on this machine, above 0."""
    spec = input_for(settings)
    pretrained = network(settings.network).pretrained_weights
    keras().utils.set_random_seed(settings.seed)
    model = build_network(settings.network, classes, spec)
    learner = Learner(model, settings, frozen_norm=pretrained)
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 256, (settings.batch, *spec.shape)).astype(np.uint8)
    truth = np.arange(settings.batch) % classes
    weights = class_weights(truth, classes)[truth]
    learner.step(batch, truth, weights, rng, 0.0)  # the first step traces the graph
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        learner.step(batch, truth, weights, rng, 0.0)
    # Augmentation and the validation set add a fifth.
    return 1.2 * (time.perf_counter() - started) / TIMED_STEPS * max(1, pictures / settings.batch)


def recommend(candidates: Sequence[CandidateRun]) -> tuple[CandidateRun, str]:
    """The candidate to use, and the reason in a sentence.

    Candidates within 0.005 of the best AUROC are equal. Among these the recall at the
    false-reject rate decides, and within 0.02 of the best recall the time on a box.
    """
    best = max(candidate.auroc for candidate in candidates)
    equal = [candidate for candidate in candidates if candidate.auroc >= best - EQUAL_AUROC]
    recall = max(candidate.recall for candidate in equal)
    accurate = [candidate for candidate in equal if candidate.recall >= recall - 4 * EQUAL_AUROC]
    chosen = min(accurate, key=lambda candidate: (candidate.milliseconds or 0.0, -candidate.auroc))
    speed = "" if chosen.milliseconds is None else f", {chosen.milliseconds:.2f} ms in int8 here"
    return chosen, (
        f"{chosen.title}: AUROC {chosen.auroc:.3f} and {chosen.recall:.0%} of defects found at "
        f"{chosen.false_reject:.0%} false rejects on the validation set{speed}"
    )


def candidates_table(candidates: Sequence[CandidateRun]) -> str:
    """The candidates as a table for a terminal."""
    lines = [f"{'candidate':<24} {'AUROC':>6} {'recall':>7} {'ms':>6}   (validation set)"]
    for candidate in candidates:
        time_needed = "-" if candidate.milliseconds is None else f"{candidate.milliseconds:.2f}"
        lines.append(
            f"{candidate.title:<24} {candidate.auroc:6.3f} {candidate.recall:7.0%} {time_needed:>6}"
        )
    return "\n".join(lines)


def plan_as_json(plan: CandidatePlan) -> dict[str, Any]:
    """The plan as JSON: a stopped run resumes with it, under any load of the machine."""
    epochs = [[one.network, one.tune, one.side, one.epochs] for one in plan.all_settings]
    return {"recipes": epochs, "left_out": list(plan.left_out)}


def plan_from_json(saved: Any, candidates: Sequence[TrainingSettings]) -> CandidatePlan:
    """The inverse of `plan_as_json`, for the same candidates."""
    known = {(one.network, one.tune, one.side): one for one in candidates}
    all_settings = [
        known[name, tune, side].replace(epochs=n) for name, tune, side, n in saved["recipes"]
    ]
    return CandidatePlan(tuple(all_settings), tuple(saved["left_out"]))

"""The quality gate: reads the figures of a conversion and refuses too large a loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converter.quantization import CalibrationSet
from converter.selection.latency_gate import suggest_networks
from converter.selection.scheme_trial import SchemeTrial
from edge.core.errors import RefusedError
from edge.core.image import read_picture
from edge.inspection import InputSpec, preprocess
from trainer.device_latency import LatencyBudget


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What a conversion may cost; shares and differences from 0 to 1.

    All runtimes that were asked must agree. `allow_unlearned` lets a model through that tells
    nothing apart: its file lets nothing pass.
    """

    max_flips: float = 0.005
    max_auroc_loss: float = 0.005
    max_runtime_difference: float = 1 / 255
    max_mean_change: float = 0.03
    max_clipped: float = 0.02
    allow_unlearned: bool = False


def objections(trial: SchemeTrial, limits: GateLimits) -> list[str]:
    """Every reason against a trial that ran, with its numbers; empty when it may pass."""
    compared = trial.compared
    assert compared is not None
    found: list[str] = []
    if compared.flip_share > limits.max_flips:
        found.append(
            f"{len(compared.flips)} of {compared.pictures} test verdicts "
            f"({compared.flip_share:.1%}) flip between pass and fail from float to "
            f"{trial.scheme}, the limit is {limits.max_flips:.1%}"
        )
    # `not <=`, so that a figure that is no number counts against the model, never for it
    if not compared.auroc_loss <= limits.max_auroc_loss:
        found.append(
            f"AUROC falls from {compared.auroc_float:.4f} to {compared.auroc_int8:.4f}, "
            f"the limit is a fall of {limits.max_auroc_loss}"
        )
    # A wide review band hides scores that have nothing to do with float's any more.
    if not compared.mean_change <= limits.max_mean_change:
        found.append(
            f"scores change by {compared.mean_change:.4f} on average, "
            f"the limit is {limits.max_mean_change}"
        )
    for result in trial.runtime_results:
        if result.failed:
            found.append(result.failed)
        elif not result.difference <= limits.max_runtime_difference:
            found.append(
                f"{result.runtime} differs by {result.difference:.4f} in score from "
                f"{trial.runtime_results[0].runtime}, the limit is "
                f"{limits.max_runtime_difference:.4f} (--without-tflite-runtime, if no box has it)"
            )
    clipped = max(trial.layers, key=lambda layer: layer.clipped, default=None)
    if clipped is not None and not clipped.clipped <= limits.max_clipped:
        found.append(
            f"the layer {clipped.layer!r} cuts off {clipped.clipped:.1%} of its values, the limit "
            f"is {limits.max_clipped:.1%}: the calibration pictures are unlike the others"
        )
    return found + _of_verdicts(trial, limits)


def _of_verdicts(trial: SchemeTrial, limits: GateLimits) -> list[str]:
    figures, compared = trial.figures, trial.compared
    if figures is None or compared is None:
        return []
    found = []
    if figures.golden_flips:
        names = ", ".join(figures.golden_flips)
        found.append(f"golden pictures flip between pass and fail ({names})")
    learned = figures.converted.learned
    if not learned and limits.allow_unlearned:
        return found
    if not compared.auroc_int8 >= 0.5:
        found.append(
            f"an AUROC of {compared.auroc_int8:.4f} is worse than chance, "
            "as when labels or colours stand in another order"
        )
    return found + figures.converted.refusals()


def check_calibration(
    name: str, calibration: CalibrationSet, labels: Sequence[str], input_spec: InputSpec
) -> None:
    """Raises RefusedError unless the calibration pictures are right.

    They must come from the train set, cover every class, and equal the box's own preprocessing.

    Ranges set on anything else hold on the bench and fail on the line. The check reads
    the pictures again itself.
    """
    samples, found = calibration.samples, []
    strange = [sample.file for sample in samples if sample.set_name != "train"]
    if strange:
        found.append(f"{strange[0]} is not of the train set")
    missing = sorted(set(labels) - {sample.label for sample in samples})
    if missing and len(samples) >= len(labels):
        found.append(f"no picture shows the class {', '.join(missing)}")
    if calibration.pictures.shape != (len(samples), *input_spec.shape):
        found.append(f"their shape is {calibration.pictures.shape[1:]}, not {input_spec.shape}")
    else:
        for sample, given in zip(samples, calibration.pictures):
            if not np.array_equal(given, preprocess(read_picture(sample.path), input_spec)):
                found.append(f"{sample.file} is not as the box would see it")
                break
    if found:
        raise RefusedError(
            f"{name}: refused, nothing was written: the calibration pictures are not right: "
            f"{'; '.join(found)}; take them from the train set, of every class, through the "
            "model's own preprocessing"
        )


def refusal(
    name: str, trials: Sequence[SchemeTrial], budget: LatencyBudget | None = None
) -> RefusedError:
    """The numbers against each trial, in one sentence: for when none may pass."""
    advice = suggest_networks(trials, budget) or (
        "check that the data set is the one it was trained on and that labels and --scaling are "
        "right"
    )
    reasons = [f"{trial.label}: {', '.join(trial.objections)}" for trial in trials]
    shared = set(trials[0].objections).intersection(*(trial.objections for trial in trials))
    if len(trials) > 1 and shared == set(trials[0].objections):
        reasons = [f"any scheme: {', '.join(trials[0].objections)}"]
    return RefusedError(f"{name}: refused, nothing was written: {'; '.join(reasons)}; {advice}")


def refuse_unlearned(name: str, metrics: dict[str, Any], limits: GateLimits) -> None:
    """Raises RefusedError for a model whose own figures say that it learned nothing.

    A file made of it would pass parts silently. Asked before any work; models that say nothing of
    themselves are judged all the same.
    """
    if metrics.get("learned") is False and not limits.allow_unlearned:
        raise RefusedError(
            f"{name}: refused, nothing was written: its training called it not learned (AUROC "
            f"{metrics.get('auroc', float('nan')):.3f}, its interval touches 0.5); train one that "
            "tells good from defective"
        )

"""The quality gate: refuses a conversion that loses too much against the float model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converter.quantization import CalibrationSet
from converter.selection.latency_gate import suggest_networks
from converter.selection.scheme_trial import SchemeTrial
from edge.core.errors import RefusedError
from edge.core.image import open_picture
from edge.inspection import InputSpec, model_input
from trainer.device_latency import LatencyBudget


@dataclass(frozen=True, slots=True)
class GateLimits:
    """The limits of the gate; shares and differences are 0 to 1.

    - `max_flips`: share of test verdicts that may change between pass and fail.
    - `max_auroc_loss`: loss of AUROC from float.
    - `max_runtime_difference`: score difference between two runtimes.
    - `max_mean_change`: mean change of a score from float.
    - `max_clipped`: share of a layer's values outside its range.
    - `allow_unlearned`: accept a model that has not learned; its file passes no part.
    """

    max_flips: float = 0.005
    max_auroc_loss: float = 0.005
    max_runtime_difference: float = 1 / 255
    max_mean_change: float = 0.03
    max_clipped: float = 0.02
    allow_unlearned: bool = False


def objections(trial: SchemeTrial, limits: GateLimits) -> list[str]:
    """All objections to a trial, with numbers; empty when it passes the gate."""
    score_diff = trial.score_diff
    assert score_diff is not None
    found: list[str] = []
    if score_diff.flip_share > limits.max_flips:
        found.append(
            f"{len(score_diff.flips)} of {score_diff.pictures} test verdicts "
            f"({score_diff.flip_share:.1%}) flip between pass and fail from float to "
            f"{trial.scheme}, the limit is {limits.max_flips:.1%}"
        )
    # `not <=`: NaN is an objection
    if not score_diff.auroc_loss <= limits.max_auroc_loss:
        found.append(
            f"AUROC falls from {score_diff.auroc_float:.4f} to {score_diff.auroc_int8:.4f}, "
            f"the limit is a loss of {limits.max_auroc_loss}"
        )
    # A wide review band would hide scores that differ completely from float.
    if not score_diff.mean_change <= limits.max_mean_change:
        found.append(
            f"scores change by {score_diff.mean_change:.4f} on average, "
            f"the limit is {limits.max_mean_change}"
        )
    for result in trial.runtime_results:
        if result.failed:
            found.append(result.failed)
        elif not result.difference <= limits.max_runtime_difference:
            found.append(
                f"{result.runtime} differs by {result.difference:.4f} in score from "
                f"{trial.runtime_results[0].runtime}, the limit is "
                f"{limits.max_runtime_difference:.4f} (give --without-tflite-runtime if no box "
                "has it)"
            )
    clipped = max(trial.layers, key=lambda layer: layer.clipped, default=None)
    if clipped is not None and not clipped.clipped <= limits.max_clipped:
        found.append(
            f"the layer {clipped.layer!r} clips {clipped.clipped:.1%} of its values, the limit "
            f"is {limits.max_clipped:.1%}: the calibration pictures differ from the test pictures"
        )
    return found + _verdict_objections(trial, limits)


def _verdict_objections(trial: SchemeTrial, limits: GateLimits) -> list[str]:
    figures, score_diff = trial.figures, trial.score_diff
    if figures is None or score_diff is None:
        return []
    found = []
    if figures.golden_flips:
        names = ", ".join(figures.golden_flips)
        found.append(f"golden pictures flip between pass and fail ({names})")
    learned = figures.converted.learned
    if not learned and limits.allow_unlearned:
        return found
    if not score_diff.auroc_int8 >= 0.5:
        found.append(
            f"an AUROC of {score_diff.auroc_int8:.4f} is worse than chance; "
            "check the order of the labels and of the colours"
        )
    return found + figures.converted.refusals()


def check_calibration(
    name: str, calibration: CalibrationSet, labels: Sequence[str], input_spec: InputSpec
) -> None:
    """Raises RefusedError unless the calibration pictures are right.

    They must come from the train set, show every class, and equal the output of the box's
    preprocessing: with other ranges, the model fails on the box. The check reads the pictures
    again.
    """
    samples, found = calibration.samples, []
    foreign = [sample.file for sample in samples if sample.set_name != "train"]
    if foreign:
        found.append(f"{foreign[0]} is not in the train set")
    missing = sorted(set(labels) - {sample.label for sample in samples})
    if missing and len(samples) >= len(labels):
        found.append(f"no picture shows the class {', '.join(missing)}")
    if calibration.pictures.shape != (len(samples), *input_spec.shape):
        found.append(f"their shape is {calibration.pictures.shape[1:]}, not {input_spec.shape}")
    else:
        for sample, picture in zip(samples, calibration.pictures):
            if not np.array_equal(picture, model_input(open_picture(sample.path), input_spec)):
                found.append(f"{sample.file} differs from the preprocessing of the box")
                break
    if found:
        raise RefusedError(
            f"{name}: refused, nothing was written: the calibration pictures are wrong: "
            f"{'; '.join(found)}; take them from the train set, from every class, with the "
            "model's preprocessing"
        )


def refusal(
    name: str, trials: Sequence[SchemeTrial], budget: LatencyBudget | None = None
) -> RefusedError:
    """The error when no trial passes: the objections to each, in one sentence."""
    advice = suggest_networks(trials, budget) or (
        "check that this is the data set of the training, and check the labels and --scaling"
    )
    reasons = [f"{trial.label}: {', '.join(trial.objections)}" for trial in trials]
    shared = set(trials[0].objections).intersection(*(trial.objections for trial in trials))
    if len(trials) > 1 and shared == set(trials[0].objections):
        reasons = [f"any scheme: {', '.join(trials[0].objections)}"]
    return RefusedError(f"{name}: refused, nothing was written: {'; '.join(reasons)}; {advice}")


def refuse_unlearned(name: str, metrics: dict[str, Any], limits: GateLimits) -> None:
    """Raises RefusedError for a model that, by its training figures, has not learned.

    Its file would pass defective parts. A model without figures is not refused here.
    """
    if metrics.get("learned") is False and not limits.allow_unlearned:
        raise RefusedError(
            f"{name}: refused, nothing was written: by its training figures it has not learned "
            f"(AUROC {metrics.get('auroc', float('nan')):.3f}, its interval includes 0.5); train a "
            "model that separates good from defective parts"
        )

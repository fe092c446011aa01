"""Tries the schemes in order. The first that passes the gate is chosen; the rest is compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from converter.evaluation import EvaluationSet
from converter.evaluation.evaluation_set import HEAD_FIT_PICTURES, Progress
from converter.evaluation.layer_errors import layer_errors, refuse_overflow
from converter.loading import SourceModel
from converter.quantization import (
    FLOAT_HEAD,
    SCHEMES,
    BuiltModel,
    FloatLogits,
    build_model,
    choose_calibration,
    head_of,
    refit_head,
)
from converter.selection.latency_gate import too_slow
from converter.selection.quality_gate import GateLimits, objections
from converter.selection.scheme_trial import SchemeTrial, evaluate_scheme, run_scheme
from converter.tflite import Runner
from edge.core.errors import ModelError
from edge.core.terms import Kernels, Pixels
from trainer.data import Dataset, load_pictures
from trainer.device_latency import LatencyBudget, operator_works

# Runtimes have no fast kernels for these schemes: a second per picture. The number of pictures for
# evaluation and calibration, when another scheme has already been chosen.
SLOW_SCHEMES = {"int16x8": (12,)}
QUICK_CALIBRATION = 24
# The built-in kernels are tried only if the runtimes round int8 differently with the first. They
# are slower, but still int8: a box has little memory, and the next scheme is float.
KERNELS: tuple[Kernels, ...] = ("quickest", "built-in")


@dataclass(frozen=True, slots=True)
class SchemeSelection:
    """All trials, in the order of preference. `chosen` is None when none passes."""

    trials: tuple[SchemeTrial, ...]
    chosen: SchemeTrial | None


@dataclass(frozen=True, slots=True)
class SchemeSelector:
    """Tries schemes with one model, one data set, and one set of limits."""

    source: SourceModel
    dataset: Dataset
    calibration: Pixels
    evaluation_set: EvaluationSet
    runners: tuple[Runner, ...]
    limits: GateLimits
    progress: Progress
    budget: LatencyBudget | None = None

    def select(self, schemes: Sequence[str] = SCHEMES) -> SchemeSelection:
        """Tries `schemes` in their order.

        Raises ModelError when float32 cannot be built or run: then no scheme can.
        """
        source = self.source
        self.progress("converting to float32", 0, 1)
        float32 = build_model("float32", source.frozen, self.calibration, source.file)
        refuse_overflow(float32.tflite, self.calibration, source.frozen, source.file)
        trials: list[SchemeTrial] = []
        chosen: SchemeTrial | None = None
        for at, scheme in enumerate(schemes):
            self.progress(f"trying {scheme}", at, len(schemes))
            full = chosen is None
            try:
                built_model = float32 if scheme == "float32" else self._build(scheme, full=full)
            except ModelError as error:
                trials.append(self._failed_trial(scheme, error))
                continue
            for kernels in KERNELS:
                trial = self._run_trial(built_model, float32, kernels, full=full)
                trials.append(trial)
                if chosen is None and not trial.objections:
                    chosen = trial
                if chosen is not None or not self._runtimes_disagree(trial):
                    break
        return SchemeSelection(tuple(trials), chosen)

    def _runtimes_disagree(self, trial: SchemeTrial) -> bool:
        """Whether the runtimes differ by more than the limit, so that other kernels are tried."""
        difference = trial.runtime_difference
        return (
            difference is not None
            and not difference <= self.limits.max_runtime_difference
            and not any(result.failed for result in trial.runtime_results)
        )

    def _build(self, scheme: str, *, full: bool) -> BuiltModel:
        pictures = self.calibration
        if scheme in SLOW_SCHEMES and not full:
            pictures = pictures[:: max(1, len(pictures) // QUICK_CALIBRATION)]
        return build_model(scheme, self.source.frozen, pictures, self.source.file)

    def _failed_trial(
        self, scheme: str, error: ModelError, kernels: Kernels = KERNELS[0]
    ) -> SchemeTrial:
        reason = str(error).removeprefix(f"{self.source.file}: ")
        return SchemeTrial(scheme, (reason,), kernels=kernels)

    def _run_trial(
        self, built_model: BuiltModel, float32: BuiltModel, kernels: Kernels, *, full: bool
    ) -> SchemeTrial:
        source, scheme = self.source, built_model.scheme
        runners = tuple(runner.with_kernels(kernels) for runner in self.runners)
        evaluation_set = (
            self.evaluation_set
            if full
            else self.evaluation_set.subset(*SLOW_SCHEMES.get(scheme, ()))
        )
        try:
            if scheme == FLOAT_HEAD:
                built_model = self._with_refit_head(built_model, float32, runners[0])
            trial = replace(
                run_scheme(built_model, evaluation_set, runners, source.file), kernels=kernels
            )
            layers = layer_errors(
                built_model.tflite,
                float32.tflite,
                evaluation_set.validation.pictures,
                source.frozen,
            )
        except ModelError as error:
            return self._failed_trial(scheme, error, kernels)
        estimated = None
        if self.budget is not None:
            estimated = self.budget.estimate(operator_works(built_model.tflite), kernels)
        trial = replace(trial, layers=layers, estimate=estimated)
        figures = evaluate_scheme(trial, source, evaluation_set, runners[0]) if full else None
        trial = replace(trial, figures=figures)
        slow = filter(None, [too_slow(trial, self.budget)])
        return replace(trial, objections=(*objections(trial, self.limits), *slow))

    def _with_refit_head(
        self, built_model: BuiltModel, float32: BuiltModel, runner: Runner
    ) -> BuiltModel:
        """The model with a head fitted on training pictures, if it is better on validation."""
        source = self.source
        samples = choose_calibration(self.dataset.of("train"), HEAD_FIT_PICTURES)
        train = load_pictures(samples, source.input)

        def with_logits(pictures: Pixels) -> FloatLogits:
            rows, _ = runner.rows(float32.tflite, pictures, source.file)
            return FloatLogits(pictures, rows.astype(np.float64))

        return refit_head(
            built_model,
            head_of(source.frozen),
            with_logits(train),
            with_logits(self.evaluation_set.validation.pictures),
            runner,
        )

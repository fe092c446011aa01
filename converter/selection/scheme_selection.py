"""All schemes side by side: the first that passes the gate is taken, the rest is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from converter.evaluation.evaluation_set import LEARNING, Exam, Progress
from converter.evaluation.layer_errors import layer_errors, refuse_overflow
from converter.loading.source_model import Source
from converter.quantization.calibration import choose_calibration
from converter.quantization.head_refit import Seen, fitted
from converter.quantization.quantization_schemes import FLOAT_HEAD, SCHEMES, Made, head_of, make
from converter.selection.latency_gate import too_slow
from converter.selection.quality_gate import Limits, objections
from converter.selection.scheme_trial import Trial, judge, run
from converter.tflite.runtimes import Runner
from edge.errors import ModelError
from edge.inspection.preprocess import Pixels
from edge.terms import Kernels
from trainer.data.dataset import Dataset
from trainer.data.pictures import load_pictures
from trainer.device_latency.latency_budget import Bound
from trainer.device_latency.operator_work import work_of

# Pictures of a part to look at a scheme that no runtime has quick kernels for, a second for each,
# and to calibrate it with, unless it may be taken.
SLOW = {"int16x8": (12,)}
ROUGH = 24
# The second only where two runtimes round int8 otherwise than each other with the first. Slower,
# and int8 all the same: a box has little memory, and the next scheme is of float.
KERNELS: tuple[Kernels, ...] = ("quickest", "built-in")


@dataclass(frozen=True, slots=True)
class Contest:
    """Every scheme's trial, in the order of preference. `taken` is None when nothing passes."""

    trials: tuple[Trial, ...]
    taken: Trial | None


@dataclass(frozen=True, slots=True)
class Contestants:
    """What every scheme is made from and judged by."""

    source: Source
    dataset: Dataset
    calibration: Pixels
    exam: Exam
    runners: tuple[Runner, ...]
    limits: Limits
    progress: Progress
    bound: Bound | None = None

    def hold(self, schemes: Sequence[str] = SCHEMES) -> Contest:
        """Tries `schemes` in the order given.

        Raises ModelError when not even float32 can be made or run: then none can.
        """
        source = self.source
        self.progress("converting to float32", 0, 1)
        float32 = make("float32", source.frozen, self.calibration, source.file)
        refuse_overflow(float32.tflite, self.calibration, source.frozen, source.file)
        trials: list[Trial] = []
        taken: Trial | None = None
        for at, scheme in enumerate(schemes):
            self.progress(f"trying {scheme}", at, len(schemes))
            full = taken is None
            try:
                made = float32 if scheme == "float32" else self._make(scheme, full=full)
            except ModelError as error:
                trials.append(self._impossible(scheme, error))
                continue
            for kernels in KERNELS:
                trial = self._try(made, float32, kernels, full=full)
                trials.append(trial)
                if taken is None and not trial.objections:
                    taken = trial
                if taken is not None or not self._apart(trial):
                    break
        return Contest(tuple(trials), taken)

    def _apart(self, trial: Trial) -> bool:
        """Whether runtimes round this scheme so differently that other kernels are worth a try."""
        difference = trial.runtime_difference
        return (
            difference is not None
            and not difference <= self.limits.max_runtime_difference
            and not any(ran.failed for ran in trial.ran)
        )

    def _make(self, scheme: str, *, full: bool) -> Made:
        pictures = self.calibration
        if scheme in SLOW and not full:
            pictures = pictures[:: max(1, len(pictures) // ROUGH)]
        return make(scheme, self.source.frozen, pictures, self.source.file)

    def _impossible(self, scheme: str, error: ModelError, kernels: Kernels = KERNELS[0]) -> Trial:
        reason = str(error).removeprefix(f"{self.source.file}: ")
        return Trial(scheme, (reason,), kernels=kernels)

    def _try(self, made: Made, float32: Made, kernels: Kernels, *, full: bool) -> Trial:
        source, scheme = self.source, made.scheme
        runners = tuple(runner.with_kernels(kernels) for runner in self.runners)
        exam = self.exam if full else self.exam.few(*SLOW.get(scheme, ()))
        try:
            if scheme == FLOAT_HEAD:
                made = self._fitted(made, float32, runners[0])
            trial = replace(run(made, exam, runners, source.file), kernels=kernels)
            layers = layer_errors(
                made.tflite, float32.tflite, exam.validation.pictures, source.frozen
            )
        except ModelError as error:
            return self._impossible(scheme, error, kernels)
        said = None
        if self.bound is not None:
            said = self.bound.estimate(work_of(made.tflite), kernels)
        trial = replace(trial, layers=layers, said=said)
        verdicts = judge(trial, source, exam, runners[0]) if full else None
        trial = replace(trial, verdicts=verdicts)
        slow = filter(None, [too_slow(trial, self.bound)])
        return replace(trial, objections=(*objections(trial, self.limits), *slow))

    def _fitted(self, made: Made, float32: Made, runner: Runner) -> Made:
        """With a head fitted on train pictures; validation says whether it is taken."""
        source = self.source
        samples = choose_calibration(self.dataset.of("train"), LEARNING)
        train = load_pictures(samples, source.input)

        def seen(pictures: Pixels) -> Seen:
            rows, _ = runner.rows(float32.tflite, pictures, source.file)
            return Seen(pictures, rows.astype(np.float64))

        return fitted(
            made, head_of(source.frozen), seen(train), seen(self.exam.validation.pictures), runner
        )
